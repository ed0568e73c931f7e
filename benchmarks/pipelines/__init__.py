"""Does the learned policy beat the pipelines that people have?"""
