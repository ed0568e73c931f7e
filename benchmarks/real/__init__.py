"""Does it help on real pictures, and where does it not?"""
