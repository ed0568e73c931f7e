"""A symmetry and six numbers for each image, and how they move its pixels and its labels."""
