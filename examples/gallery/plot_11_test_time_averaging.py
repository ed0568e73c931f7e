"""
Averaging over the policy at test time
======================================

A policy tells which warps should not matter to the classifier. So its predictions can be averaged over some draws: each
image votes with its own range. Whether that helps depends on the classifier: measure it, as here.
"""

# %%
# A classifier that was trained further with a shipped policy.
import torch
from fashion import batches, images, trained_classifier
from matplotlib.figure import Figure
from saving import save
from torch.nn import functional as F

from learned_affine import LearnedAffineAugment
from learned_affine.classifier import train_classifier

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V2", padding_mode="zeros")
classifier = trained_classifier()
train_classifier(classifier, batches(*images("train", 0, 1000)), augment=augment, epochs=8, seed=0)
test, labels = images("test", 0, 1000)

# %%
# ``p=1`` so that every copy differs; half the strength, since a vote of mild warps says more than one of wild ones.
voter = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V2", padding_mode="zeros", p=1.0, strength=0.5)
torch.manual_seed(0)
with torch.no_grad():
    plain = classifier(test).softmax(-1)
    votes = torch.stack([plain] + [classifier(voter(test)).softmax(-1) for _ in range(31)])

# %%
# Accuracy and negative log likelihood against the number of copies that vote (the first is the untouched image), for
# one classifier and one set of draws.
counts = [1, 2, 4, 8, 16, 32]
means = [votes[:count].mean(0) for count in counts]
right = torch.stack([(mean.argmax(-1) == labels).float() for mean in means])  # (counts, N)
nll = torch.stack([F.nll_loss(mean.log(), labels, reduction="none") for mean in means])
for count, accuracy, loss in zip(counts, right.mean(1), nll.mean(1), strict=True):
    print(f"{count:3d} copies: accuracy {accuracy:.3f}, negative log likelihood {loss:.3f}")

# %%
# Bars are the standard error that so many test images leave; what lies within them is no difference.
figure = Figure(figsize=(7.5, 2.8), layout="constrained", facecolor="white")
for axis, values, name in zip(figure.subplots(1, 2), (right, nll), ("accuracy", "NLL, nats"), strict=True):
    error = values.std(1) / len(labels) ** 0.5
    axis.errorbar(counts, values.mean(1), error, fmt="o-", color="#0072B2", capsize=3)
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.set_xlabel("copies that vote")
    axis.set_ylabel(name)
    axis.grid(alpha=0.3)
save(figure, "plot_11_test_time_averaging")
