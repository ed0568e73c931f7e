"""
Augment a batch and see it
==========================

A policy that ships with the package, a batch of images, and what was done to each of them.
"""

# %%
# ``from_pretrained`` loads a policy: one file inside the package, nothing is fetched. ``p`` is the chance of each image
# to be augmented; 1 so that there is something to see in every one.
from fashion import images

from learned_affine import LearnedAffineAugment, plots

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", p=1.0)
print(augment)

# %%
# Call it as any transform. A batch gets its own parameters for each image, and ``last_parameters`` tells them.
batch, labels = images("test", 0, 10)
augmented = augment(batch)
print(augmented.shape, augmented.dtype)
print(augment.last_parameters)

# %%
# The same as a picture: above the images, below one draw for each.
figure = plots.plot_before_after(augment, batch)

# %%
# A policy is a range for each image, not one warp. Its outlines over the image show how wide the range is, and where
# it leans.
# sphinx_gallery_thumbnail_number = 2
fan = plots.plot_fan(augment, batch[:4])

# %%
# What was done can be done again, to anything that belongs to the image, and undone.
again = augment.apply(batch, augment.last_parameters)
print("replayed exactly:", bool((again == augmented).all()))
undone = augment.warp(augmented, augment.invert(augment.last_parameters))
print(f"mean change after undoing it: {float((undone - batch).abs().mean()):.3f} of the pixel range")
