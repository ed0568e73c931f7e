"""Do the shipped policies help where they were not fitted?"""
