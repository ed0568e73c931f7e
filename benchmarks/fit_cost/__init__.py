"""What does a fit cost?"""
