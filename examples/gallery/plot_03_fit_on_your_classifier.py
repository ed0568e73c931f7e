"""
Fit a policy to your classifier
===============================

The classifier stays as it is. The policy learns how far each image can be moved before this costs the classifier more
than a little on held-out images.
"""

# %%
# What you bring: a classifier, the images that it was trained on, and held-out images.
from fashion import NAMES, batches, images, trained_classifier
from saving import save

from learned_affine import LearnedAffineAugment, plots

classifier = trained_classifier()
train, held_out = images("train", 0, 1000), images("train", 1000, 1400)

# %%
# One call. Nothing is chosen but the padding: what lies outside these images is black.
augment = LearnedAffineAugment.fit(
    classifier, batches(*train), val_loader=batches(*held_out, shuffle=False), padding_mode="zeros"
)
print(augment)

# %%
# What it learned about one test image of each class: its eight positions, strong or faint by their probability.
test, labels = images("test", 0, 200)
first = [int((labels == label).nonzero()[0]) for label in range(10)]
figure = plots.plot_symmetries(augment, test[first], names=NAMES)
save(figure, "plot_03_fit_on_your_classifier")

# %%
# How it went, round by round. What augmented held-out images cost should end near the budget.
curves = augment.history.plot()
save(curves, "plot_03_curves")
