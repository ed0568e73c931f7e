"""
Which images may be flipped and rotated
=======================================

A flipped heart is a heart; a flipped left arrow is a right arrow. A sun is a sun in all eight positions. The fit finds
out from the labels.
"""

# %%
# Icons of 53 classes, ten of which name a side. The classifier must not be trained with flips: it could not tell the
# sides apart.
from pathlib import Path

import numpy as np
import torch
from fashion import FILE, batches
from saving import save

from learned_affine import AffineLimits, LearnedAffineAugment, plots
from learned_affine.classifier import SmallConvNet, train_classifier

arrays = np.load(Path(FILE).with_name("icons.npz"))
names = arrays["classes"].tolist()
images = torch.from_numpy(arrays["train_images"])[:, None].float() / 255
labels = torch.from_numpy(arrays["train_labels"].astype(np.int64))
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
train, held_out = order[600:], order[:600]

torch.manual_seed(0)
classifier = SmallConvNet(len(names), channels=1, width=16).to(memory_format=torch.channels_last)
loader = batches(images[train], labels[train])
train_classifier(classifier, loader, epochs=10, learning_rate=4e-3, seed=0)

# %%
augment = LearnedAffineAugment.fit(
    classifier,
    loader,
    val_loader=batches(images[held_out], labels[held_out], shuffle=False),
    padding_mode="border",  # dark on white paper
)

# %%
# One test icon, of another design set, for some of the classes: the eight positions, each as strong as it is probable.
shown = ("arrow-left", "arrow-right", "undo", "redo", "check", "play", "flag", "heart", "star", "home", "plus", "sun")
test, its_class = torch.from_numpy(arrays["test_images"])[:, None] / 255, torch.from_numpy(arrays["test_labels"]).long()
chosen = torch.isin(its_class, torch.tensor([names.index(name) for name in shown]))
figure = plots.symmetries(augment, test[chosen], its_class[chosen], names)
save(figure, "plot_10_which_may_be_flipped")

# %%
# Where nothing may ever be flipped or rotated by right angles, forbid it.
never = LearnedAffineAugment(AffineLimits(symmetries="none"))
print(never.limits)
