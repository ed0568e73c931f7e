"""Beyond one label per image: several labels, yes or no, and labels that name a side."""
