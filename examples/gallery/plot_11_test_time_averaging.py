"""
Averaging over the policy at test time
======================================

A policy tells which warps should not matter to the classifier. So its predictions can be averaged over some draws: each
image votes with its own range. Whether that helps depends on the classifier: measure it, as here.
"""

# %%
# A classifier that was trained further with a policy that ships with the package.
import torch
from fashion import batches, images, trained_classifier
from matplotlib.figure import Figure
from torch.nn import functional as F

from learned_affine import LearnedAffineAugment
from learned_affine.classifier import train_classifier

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", padding_mode="zeros")
classifier = trained_classifier()
train_classifier(classifier, batches(*images("train", 0, 1000)), augment=augment, epochs=8, seed=0)
test, labels = images("test", 0, 1000)

# %%
# ``p=1`` so that every copy differs; half the strength, since a vote of mild warps says more than one of wild ones.
voter = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", padding_mode="zeros", p=1.0, strength=0.5)
torch.manual_seed(0)
with torch.no_grad():
    plain = classifier(test).softmax(-1)
    votes = torch.stack([plain] + [classifier(voter(test)).softmax(-1) for _ in range(31)])

# %%
# Accuracy and negative log likelihood against the number of copies that vote (the first is the untouched image). One
# classifier, one set of draws: look at the trend, not at the last digit.
counts = [1, 2, 4, 8, 16, 32]
means = [votes[:count].mean(0) for count in counts]
accuracy = [float((mean.argmax(-1) == labels).float().mean()) for mean in means]
nll = [float(F.nll_loss(mean.log(), labels)) for mean in means]
for count, right, loss in zip(counts, accuracy, nll, strict=True):
    print(f"{count:3d} copies: accuracy {right:.3f}, negative log likelihood {loss:.3f}")

# %%
figure = Figure(figsize=(7.5, 2.8), layout="constrained")
for axis, values, name in zip(figure.subplots(1, 2), (accuracy, nll), ("accuracy", "NLL, nats"), strict=True):
    axis.plot(counts, values, "o-", color="#0072B2")
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.set_xlabel("copies that vote")
    axis.set_ylabel(name)
    axis.grid(alpha=0.3)
