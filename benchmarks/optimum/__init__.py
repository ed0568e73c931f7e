"""How near is a fitted policy to the best one?"""
