"""Does the quick start's own comparison hold over seeds?"""
