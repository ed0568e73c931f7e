"""Six numbers and a mirror for each image, and how they move its pixels and its labels."""
