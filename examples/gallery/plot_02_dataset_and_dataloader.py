"""
Inside a Dataset and a DataLoader
=================================

The augmenter is a torchvision transform: it stands in a ``Compose``, before or after ``Normalize``, and works in the
loader's worker processes.
"""

# %%
# A dataset of PIL images, as most are.
import torch
from fashion import images
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from learned_affine import LearnedAffineAugment, plots


class Clothes(Dataset):
    """Embedded Fashion-MNIST images as PIL images, with a transform."""

    def __init__(self, transform):
        self.images, self.labels = images("train", 0, 256)
        self.transform = transform

    def __len__(self):
        """How many."""
        return len(self.labels)

    def __getitem__(self, index):
        """One image and its class."""
        picture = v2.functional.to_pil_image(self.images[index])
        return self.transform(picture), int(self.labels[index])


# %%
# One line more in the pipeline. Half of the images (``p=0.5``, the default) come through untouched, bit by bit, so that
# the classifier keeps seeing what it will be asked about.
augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", padding_mode="zeros")
train = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        augment,  # a PIL image in, a PIL image out
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.286], [0.353]),
    ]
)
print(train)

# %%
# Two workers. Their draws follow torch's generator: the same seed gives the same epoch, and each epoch differs.
loader = DataLoader(Clothes(train), batch_size=64, shuffle=True, num_workers=2)
torch.manual_seed(0)
first = next(iter(loader))[0]
torch.manual_seed(0)
again = next(iter(loader))[0]
print("the same seed gives the same batch:", torch.equal(first, again))

# %%
# Or leave the images alone in the workers and augment the whole batch afterwards, in one call for all of them. On a GPU
# this is the way: the augmenter follows the batch to its device.
plain = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
batch, labels = next(iter(DataLoader(Clothes(plain), batch_size=64)))
augmented = augment(batch)
moved = augment.last_parameters.displacement() > 0
print(f"{int(moved.sum())} of {len(batch)} images were augmented")
figure = plots.plot_before_after(augment, batch[:6])
