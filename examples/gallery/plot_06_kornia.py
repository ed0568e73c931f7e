"""
Inside kornia
=============

The same policy in ``AugmentationSequential``, as one of kornia's own geometric augmentations: batches of floats, masks,
boxes and key points, replay and inverse.
"""

# %%
import torch
from fashion import images
from kornia.augmentation import AugmentationSequential, RandomGaussianNoise

from learned_affine import LearnedAffineAugment, plots
from learned_affine.kornia import LearnedAffine

augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", padding_mode="zeros")
pipeline = AugmentationSequential(
    LearnedAffine(augment, p=1.0),
    RandomGaussianNoise(std=0.03, p=0.5),
    data_keys=["input", "mask", "keypoints"],
)

# %%
# Images with the mask of their object, and the four corners of a square as key points (in pixel indices, as kornia has
# them).
batch, _ = images("test", 0, 8)
masks = (batch > 0.1).float()
points = torch.tensor([[6.0, 6.0], [21.0, 6.0], [21.0, 21.0], [6.0, 21.0]]).expand(8, 4, 2)
torch.manual_seed(0)
with torch.no_grad():  # as kornia's own, it is differentiable otherwise
    new_batch, new_masks, new_points = pipeline(batch, masks, points)
print(new_batch.shape, new_masks.shape, new_points.shape)

# %%
# The masks follow their images: where the moved mask is, the moved image is not black.
shown = float(new_batch[new_masks > 0.5].mean()), float(new_batch[new_masks < 0.5].abs().mean())
print(f"mean pixel inside the moved mask {shown[0]:.2f}, outside {shown[1]:.2f}")

# %%
# Replay with the same parameters gives the same, and ``inverse`` takes the key points back.
with torch.no_grad():
    replayed = pipeline(batch, masks, points, params=pipeline._params)
    back = pipeline.inverse(new_batch, new_masks, new_points)[2]
print("replayed points are the same:", torch.equal(replayed[2], new_points))
print(f"largest error of the points taken back: {float((back - points).abs().max()):.1e} pixels")

# %%
# A picture of the policy itself. (A plain v2 transform put into kornia's container would move the images only, and
# leave the masks behind: use the adapter.)
figure = plots.plot_before_after(augment, batch[:5])
