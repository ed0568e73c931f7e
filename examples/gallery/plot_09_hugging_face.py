"""
With Hugging Face
=================

``datasets`` with a transform, ``transformers`` with its ``Trainer``, offline: the data are made in memory and the model
from a configuration.
"""

# %%
import tempfile

import torch
from fashion import NAMES, images
from matplotlib.figure import Figure
from saving import save
from torchvision.transforms import v2

from learned_affine import LearnedAffineAugment

try:
    from datasets import ClassLabel, Dataset, Features, Image
    from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification
except ImportError as error:
    raise SystemExit("this example needs datasets and transformers: pip install learned_affine[examples]") from error

# %%
# A dataset of PIL images with labels, as one from the hub would be.
features = Features({"image": Image(), "label": ClassLabel(names=list(NAMES))})


def dataset(start, stop):
    """Some of the embedded images."""
    pixels, labels = images("train", start, stop)
    pictures = [v2.functional.to_pil_image(one) for one in pixels]
    return Dataset.from_dict({"image": pictures, "label": labels.tolist()}, features=features)


train, held_out = dataset(0, 600), dataset(1000, 1200)
print(train)

# %%
# The augmenter in the transform that ``with_transform`` runs on each access: new draws in every epoch.
augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V3", padding_mode="zeros")
tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.286], [0.353])])


def prepared(transform):
    """What makes model inputs of a slice of the dataset."""
    return lambda rows: {"pixel_values": [transform(one) for one in rows["image"]], "labels": rows["label"]}


augmented, plain = train.with_transform(prepared(v2.Compose([augment, tensor]))), train.with_transform(prepared(tensor))

# %%
# A tiny vision transformer from its configuration, and the Trainer.
torch.manual_seed(0)
model = ViTForImageClassification(
    ViTConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=28,
              patch_size=7, num_channels=1, num_labels=len(NAMES))
)  # fmt: skip
with tempfile.TemporaryDirectory() as folder:
    options = TrainingArguments(
        folder, max_steps=60, per_device_train_batch_size=32, learning_rate=2e-3, remove_unused_columns=False,
        report_to="none", use_cpu=True, save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    done = Trainer(model=model, args=options, train_dataset=augmented).train()
print(f"{done.global_step} steps, loss {done.training_loss:.2f}")

# %%
# Fit a policy to this model: batches may be dicts, and an output with ``.logits`` is understood. The images are
# normalised already here: the policy may come before ``Normalize`` or after it.
loaders = [torch.utils.data.DataLoader(part, batch_size=64) for part in
           (plain, held_out.with_transform(prepared(tensor)))]  # fmt: skip
fitted = LearnedAffineAugment.fit(model, loaders[0], val_loader=loaders[1], padding_mode="border")
print(fitted)

# %%
# What the trainer sees of four images in eight epochs.
figure = Figure(figsize=(9, 4.8), layout="constrained", facecolor="white")
for row, line in enumerate(figure.subplots(4, 8)):
    for axis in line:
        axis.imshow(augmented[row]["pixel_values"][0].numpy(), cmap="gray")
        axis.set_axis_off()
save(figure, "plot_09_hugging_face")
