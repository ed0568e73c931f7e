"""
In a Dataset and a DataLoader
=============================

Replace the geometric half of a pipeline by the policy, and keep the colour half.
"""

# %%
# A dataset of PIL images, as most are: four photographs, over and over.
import torch
from matplotlib.figure import Figure
from photos import NAMES, photographs
from saving import save
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from learned_affine import LearnedAffineAugment
from learned_affine.colour import TrivialAugmentColour


class Photographs(Dataset):
    """PIL images with a transform."""

    def __init__(self, transform, length=24):
        self.pictures = [v2.functional.to_pil_image(image) for image in photographs(160)]
        self.transform, self.length = transform, length

    def __len__(self):
        """How many."""
        return self.length

    def __getitem__(self, index):
        """One image and its class."""
        label = index % len(NAMES)
        return self.transform(self.pictures[label]), label


# %%
# Before: flips, crops and TrivialAugmentWide. After: the colour operations of TrivialAugmentWide, and the policy.
# There is no ``RandomHorizontalFlip``, since the policy decides about flips.
tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
before = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(160, padding=20), v2.TrivialAugmentWide(), tensor])
augment = LearnedAffineAugment.from_pretrained("CIFAR10_V3")
after = v2.Compose([TrivialAugmentColour(), augment, tensor])
print(after)

# %%
# Two workers. The same seed gives the same epoch, and the next epoch differs.
loader = DataLoader(Photographs(after), batch_size=24, num_workers=2)
torch.manual_seed(0)
first, second = next(iter(loader))[0], next(iter(loader))[0]
torch.manual_seed(0)
print("the same seed, the same batch:", torch.equal(first, next(iter(loader))[0]))
print("the next epoch is the same:", torch.equal(first, second))

# %%
# What each pipeline gives, six times for each photograph.
torch.manual_seed(0)
batches = [next(iter(DataLoader(Photographs(one), batch_size=24)))[0] for one in (before, after)]
figure = Figure(figsize=(10, 7.2), layout="constrained", facecolor="white")
for half, images, title in zip(figure.subfigures(1, 2), batches, ("before", "after"), strict=True):
    half.suptitle(title, fontsize=12)
    for axis, image in zip(half.subplots(6, 4).flat, images, strict=True):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_axis_off()
save(figure, "plot_02_dataset_and_dataloader")
