"""
Averaging at test time
======================

A policy says which warps should not change the answer. So a classifier that was trained with it can be asked about
several draws of each image. Whether that helps depends on the classifier: measure it, as here.
"""

# %%
# A classifier that was trained further with a shipped policy.
import torch
from fashion import batches, images, trained_classifier
from matplotlib.figure import Figure
from saving import save
from torch.nn import functional as F

from learned_affine import LearnedAffineAugment
from learned_affine.averaging import AveragedClassifier
from learned_affine.classifier import train_classifier

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V3", padding_mode="zeros")
classifier = trained_classifier()
train_classifier(classifier, batches(*images("train", 0, 1000)), augment=augment, epochs=8, seed=0)
test, labels = images("test", 0, 1000)

# %%
# Negative log likelihood and accuracy against the number of draws. The untouched image is always one of the views.
counts = (0, 1, 2, 4, 8, 16)
with torch.no_grad():
    answers = [AveragedClassifier(classifier, augment, count)(test) if count else classifier(test) for count in counts]
right = torch.stack([(answer.argmax(-1) == labels).float() for answer in answers])  # (counts, N)
nll = torch.stack([F.cross_entropy(answer, labels, reduction="none") for answer in answers])
for count, accuracy, loss in zip(counts, right.mean(1), nll.mean(1), strict=True):
    print(f"{count:3d} draws: accuracy {accuracy:.3f}, negative log likelihood {loss:.3f}")

# %%
# Bars are the standard error that so many test images leave. What lies within them is no difference.
figure = Figure(figsize=(7.5, 2.8), layout="constrained", facecolor="white")
for axis, values, name in zip(figure.subplots(1, 2), (100 * right, nll), ("accuracy, %", "NLL, nats"), strict=True):
    error = values.std(1) / len(labels) ** 0.5
    axis.errorbar(range(len(counts)), values.mean(1), error, fmt="o-", color="#0072B2", capsize=3)
    axis.set_xticks(range(len(counts)), [str(count) for count in counts])
    axis.set(xlabel="draws", ylabel=name)
    axis.grid(alpha=0.3)
save(figure, "plot_11_test_time_averaging")
