"""
In kornia
=========

The same policy in ``AugmentationSequential``, as one of kornia's own geometric augmentations: images, masks and key
points move together, with replay and inverse.
"""

# %%
import torch
from fashion import images
from kornia.augmentation import AugmentationSequential, RandomGaussianNoise
from matplotlib.figure import Figure
from saving import save

from learned_affine import LearnedAffineAugment
from learned_affine.kornia import LearnedAffine

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V3", padding_mode="zeros")
pipeline = AugmentationSequential(
    LearnedAffine(augment, p=1.0),  # the adapter, not the transform itself: that would leave the masks behind
    RandomGaussianNoise(std=0.03, p=0.5),
    data_keys=["input", "mask", "keypoints"],
)

# %%
# Images with the mask of their object, and the corners of a square as key points, in pixel indices, as kornia has them.
batch, _ = images("test", 0, 6)
masks = (batch > 0.1).float()
points = torch.tensor([[6.0, 6.0], [21.0, 6.0], [21.0, 21.0], [6.0, 21.0]]).expand(6, 4, 2)
torch.manual_seed(0)
with torch.no_grad():  # as kornia's own, it is differentiable otherwise
    new_batch, new_masks, new_points = pipeline(batch, masks, points)
    back = pipeline.inverse(new_batch, new_masks, new_points)[2]
print(f"largest error of the points taken back: {float((back - points).abs().max()):.1e} pixels")

# %%
# The outline of each moved mask, and the moved square, over the moved image.
figure = Figure(figsize=(9, 3.4), layout="constrained", facecolor="white")
axes = figure.subplots(2, 6)
rows = ((batch, masks, points), (new_batch, new_masks, new_points))
for row, (pixels, outlines, squares) in enumerate(rows):
    for axis, image, mask, square in zip(axes[row], pixels, outlines, squares, strict=True):
        axis.imshow(image[0].numpy(), cmap="gray")
        axis.contour(mask[0].numpy(), [0.5], colors="#56B4E9", linewidths=1.5)
        axis.plot(*square[[0, 1, 2, 3, 0]].T.numpy(), color="#D55E00", linewidth=1.5)
        axis.set(xticks=[], yticks=[], xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
axes[0, 0].set_ylabel("before", fontsize=11)
axes[1, 0].set_ylabel("after", fontsize=11)
save(figure, "plot_06_kornia")
