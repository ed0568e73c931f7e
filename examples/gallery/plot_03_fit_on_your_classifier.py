"""
Fit an augmenter to your classifier
===================================

Stage 2 of the paper: the classifier is frozen, and the augmenter learns how far each image can be moved before
it costs the classifier more than a small share of what it knows about held-out images.
"""

# %%
# What you bring: a classifier, the images that it was trained on, and some that it was not.
from fashion import NAMES, batches, images, trained_classifier

from learned_affine import FitConfig, LearnedAffineAugment, plots

classifier = trained_classifier()
train, held_out = images("train", 0, 1000), images("train", 1000, 1400)

# %%
# One call. There is nothing to choose; ``steps`` is lower than its default here to keep this page quick.
augment = LearnedAffineAugment.fit(
    classifier,
    batches(*train),
    val_loader=batches(*held_out, shuffle=False),
    config=FitConfig(steps=200),
    padding_mode="zeros",  # what lies outside these images is black
)
print(augment)
print(augment.history)

# %%
# How it went. The cross entropy on augmented held-out images settles at the target, which is a little above the
# cross entropy on the same images without a warp. The displacement is what that leaves room for.
curves = augment.history.plot()

# %%
# What it learned, image by image: dots are where its draws take the corners, arrows where they lead on average.
# sphinx_gallery_thumbnail_number = 2
quiver = plots.plot_quiver(augment, train[0][:4])

# %%
# And class by class.
histograms = plots.plot_parameters(augment, train[0][:400], train[1][:400], names=NAMES)

# %%
# One file holds it all: weights, limits, how it was fitted. No pickle.
path = augment.save_pretrained("augmenter.safetensors")
print(path, path.stat().st_size // 1024, "kB")
print(LearnedAffineAugment.from_pretrained(path))
path.unlink()
