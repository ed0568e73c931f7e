"""A torchvision transform: one draw a sample, applied to everything in it."""
