"""
Strength and padding
====================

``strength`` makes a fitted policy milder, without a new fit. ``padding_mode`` says what comes in at the edges.
"""

# %%
# The same photograph and the same noise in every picture, so that only the two dials differ.
import torch
from matplotlib.figure import Figure
from photos import photographs
from saving import save

from learned_affine import LearnedAffineAugment

image = photographs(200)[1:2]
strengths, paddings = (0.0, 0.3, 0.6, 1.0), ("reflection", "border", "zeros", "fill")

# %%
# Both can be given to ``from_pretrained``, to the constructor, or set afterwards.
figure = Figure(figsize=(8, 8.4), layout="constrained", facecolor="white")
axes = figure.subplots(len(paddings), len(strengths))
for row, padding in enumerate(paddings):
    for column, strength in enumerate(strengths):
        augment = LearnedAffineAugment.from_pretrained(
            "CIFAR10_V3", p=1.0, strength=strength, padding_mode=padding, fill=200 if padding == "fill" else None
        )
        torch.manual_seed(6)
        axes[row, column].imshow(augment(image)[0].permute(1, 2, 0).numpy())
        axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"strength {strength:g}", fontsize=11)
    axes[row, 0].set_ylabel(padding, fontsize=11)
save(figure, "plot_12_strength_and_padding")

# %%
# Photographs: reflection, the default. Objects on a plain ground: border or zeros. Detection: fill, since reflection
# brings in mirrored objects that have no box.
