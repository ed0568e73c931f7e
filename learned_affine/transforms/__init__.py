"""A torchvision transform: one draw per sample, applied to everything in it."""
