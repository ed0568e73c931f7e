"""Beyond one label an image: several labels, yes or no, and labels that name a side."""
