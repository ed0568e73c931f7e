"""
In a Lightning module
=====================

The augmenter goes into ``on_after_batch_transfer``: there the batch is on its device already, and only training batches
are touched.
"""

# %%
import logging
import warnings

import torch
from fashion import batches, images
from matplotlib.figure import Figure
from saving import save
from torch.nn import functional as F

from learned_affine import LearnedAffineAugment
from learned_affine.classifier import SmallConvNet

try:
    import lightning
except ImportError as error:
    raise SystemExit("this example needs Lightning: pip install learned_affine[examples]") from error


class Classifier(lightning.LightningModule):
    """A classifier that augments its training batches on the device."""

    def __init__(self, augment):
        super().__init__()
        self.network = SmallConvNet(classes=10, channels=1, width=16)
        self.augment = augment  # none of its weights requires a gradient, so the optimizer leaves it alone
        self.accuracies = []

    def on_after_batch_transfer(self, batch, dataloader_idx):
        """Augment training batches; validation batches stay as they are."""
        pixels, labels = batch
        return (self.augment(pixels) if self.trainer.training else pixels), labels

    def training_step(self, batch, batch_idx):
        """Cross entropy."""
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        """Accuracy on untouched images."""
        right = self.network(batch[0]).argmax(1) == batch[1]
        self.log("accuracy", right.float().mean())

    def on_validation_epoch_end(self):
        """Keep the accuracy of each epoch for the picture."""
        self.accuracies.append(float(self.trainer.callback_metrics["accuracy"]))

    def configure_optimizers(self):
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


# %%
# Twelve short epochs on a CPU, with a shipped policy.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", module="lightning")  # it advises more loader workers
lightning.seed_everything(0, verbose=False)
module = Classifier(LearnedAffineAugment.from_pretrained("FASHION_MNIST_V3"))
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=12, num_sanity_val_steps=0, accelerator="cpu", **quiet)
train, held_out = batches(*images("train", 0, 1000)), batches(*images("train", 1000, 1400), shuffle=False)
trainer.fit(module, train, held_out)

# %%
figure = Figure(figsize=(5, 3), layout="constrained", facecolor="white")
axis = figure.subplots()
axis.plot(range(1, 13), [100 * one for one in module.accuracies], "o-", color="#0072B2")
axis.set(xlabel="epoch", ylabel="validation accuracy, %")
axis.grid(alpha=0.3)
save(figure, "plot_08_lightning")

# %%
# The policy can also be fitted to the module itself: anything from images to logits is a classifier.
module.augment = LearnedAffineAugment.fit(module.network, train, val_loader=held_out)
print(module.augment)
