"""From an image to what transforms cost it, to a distribution over its transforms, and a draw."""
