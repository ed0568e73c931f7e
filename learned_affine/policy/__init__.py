"""From an image to a distribution over the unit cube and a chance of a mirror, and a draw from both."""
