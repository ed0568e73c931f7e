"""Which classifier tells best what may be done to an image?"""
