"""
Augment a batch of photographs
==============================

A shipped policy, four photographs, and what was done to each of them.
"""

# %%
# ``from_pretrained`` loads a policy that is part of the package. ``p`` is the chance of each image to be augmented;
# here it is 1, so that something happens to all of them. The policy was fitted on images of 32 pixels, and takes any
# size.
import torch
from photos import photographs
from saving import save

from learned_affine import LearnedAffineAugment, plots

augment = LearnedAffineAugment.from_pretrained("CIFAR10_V3", p=1.0)
images = photographs()  # (4, 3, 224, 224), uint8

# %%
# Call it as any transform. Each image of a batch gets its own parameters, and ``last_parameters`` holds them.
torch.manual_seed(0)
augmented = augment(images)
print(augmented.shape, augmented.dtype)
print(augment.last_parameters)

# %%
# The originals, and four draws of each.
figure = plots.plot_policies({"augmented": augment}, images, draws=4)
save(figure, "plot_01_augment_a_batch")

# %%
# What was done can be done again, to anything that belongs to the image.
again = augment.apply(images, parameters=augment.last_parameters)
print("the same again:", torch.equal(again, augmented))
