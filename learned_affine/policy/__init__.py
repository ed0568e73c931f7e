"""From an image to a distribution over the unit cube, and a draw from it."""
