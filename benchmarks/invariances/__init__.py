"""Are known invariances found?"""
