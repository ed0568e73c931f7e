"""Learns what each transform costs each image, then prices it; README.md has the reasons."""
