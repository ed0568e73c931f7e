"""
Which flips and rotations keep the label
========================================

A flipped heart is a heart; a flipped left arrow is a right arrow. The fit finds out from the labels.
"""

# %%
# Icons of 53 classes, ten of which name a side. The classifier must not be trained with flips: it could not
# distinguish the sides.
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
# Some test icons of other design sets in their eight positions, strong or faint by their probability.
shown = ("arrow-left", "arrow-right", "undo", "redo", "check", "play", "flag", "heart", "star", "home", "plus", "sun")
test, its_class = torch.from_numpy(arrays["test_images"])[:, None] / 255, torch.from_numpy(arrays["test_labels"]).long()
chosen = torch.isin(its_class, torch.tensor([names.index(name) for name in shown]))
figure = plots.plot_symmetries(augment, test[chosen], its_class[chosen], names)
save(figure, "plot_10_which_may_be_moved")

# %%
# Labels that could follow a move: a flipped left arrow is a right arrow. ``label_map`` of ``fit`` takes the proposal.
proposed = augment.proposed_label_map()
for move, order in proposed.items():
    print(move, [f"{names[one]} becomes {names[to]}" for one, to in enumerate(order) if one != to])

# %%
# Where nothing may ever be flipped, for instance because key points name a side, forbid it.
never = LearnedAffineAugment(AffineLimits(symmetries="none"))
print(never.limits)
