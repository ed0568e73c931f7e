"""
A folder of photographs, a timm model
=====================================

From ``photos/CLASS/*.jpg`` to a training pipeline with a policy that was fitted to a model from timm.
"""

# %%
# A stand-in for your folder: square pieces of four photographs, at random places.
import tempfile
from pathlib import Path

import torch
from photos import NAMES, photographs
from saving import save
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from learned_affine import FitConfig, LearnedAffineAugment, plots
from learned_affine.classifier import train_classifier
from learned_affine.colour import TrivialAugmentColour

try:
    import timm
except ImportError as error:
    raise SystemExit("this example needs timm: pip install learned_affine[examples]") from error

torch.manual_seed(0)
torch.set_num_threads(1)
folder = Path(tempfile.mkdtemp())
piece = v2.RandomResizedCrop(144, scale=(0.3, 0.9), ratio=(1, 1))
for name, photograph in zip(NAMES, photographs(288), strict=True):
    for part, count in (("train", 40), ("val", 30)):
        (folder / part / name).mkdir(parents=True)
        for number in range(count):
            v2.functional.to_pil_image(piece(photograph)).save(folder / part / name / f"{number}.jpg")

# %%
# timm's smallest model, with random weights, so that nothing is fetched. Yours has another name and ``pretrained``.
# The loaders give images as you validate, but without ``Normalize``, which goes to ``preprocess``: it comes after
# the policy.
model = timm.create_model("test_resnet", pretrained=False, num_classes=len(NAMES))
config = timm.data.resolve_model_data_config(model)
normalize = v2.Normalize(config["mean"], config["std"])
size = v2.Compose([v2.RGB(), v2.Resize(128), v2.CenterCrop(128)])
tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
parts = [ImageFolder(folder / part, v2.Compose([size, tensor])) for part in ("train", "val")]
loader, val_loader = (DataLoader(part, batch_size=32, shuffle=part is parts[0]) for part in parts)
train_classifier(model, loader, epochs=3, preprocess=normalize, learning_rate=2e-3, seed=0)

# %%
# Fit. ``images`` keeps this page quick: leave it out.
quick = FitConfig(images=1000)
augment = LearnedAffineAugment.fit(model, loader, val_loader=val_loader, preprocess=normalize, config=quick)
print(augment.summary())

# %%
# The pipeline to train with: no random crop, no flip, no rotation; colour operations, then the policy.
augmented = v2.Compose([size, TrivialAugmentColour(), augment, tensor, normalize])
train_loader = DataLoader(ImageFolder(folder / "train", augmented), batch_size=32, shuffle=True, num_workers=2)
images, labels = next(iter(train_loader))
print(images.shape, labels.shape)

# %%
figure = plots.plot_before_after(augment, torch.stack([parts[1][index][0] for index in range(0, 120, 20)]))
save(figure, "plot_07_folder_of_photographs")
