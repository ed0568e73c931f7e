"""
A Lightning module
==================

The augmenter goes into ``on_after_batch_transfer``: there the batch is on its device already, and only training batches
are touched.
"""

# %%
import logging
import warnings

import torch
from fashion import batches, images
from torch.nn import functional as F

from learned_affine import LearnedAffineAugment, plots
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
        self.augment = augment.requires_grad_(False)  # it is fitted: not one of the parameters to train

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
        self.log("accuracy", right.float().mean(), prog_bar=True)

    def configure_optimizers(self):
        """AdamW."""
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=2e-3)


# %%
# Three short epochs on a CPU.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", module="lightning")  # it advises more loader workers
lightning.seed_everything(0, verbose=False)
augment = LearnedAffineAugment.from_pretrained("FASHION_MNIST_V1", padding_mode="zeros")
module = Classifier(augment)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", **quiet)
trainer.fit(module, batches(*images("train", 0, 1000)), batches(*images("train", 1000, 1400), shuffle=False))
print({key: round(float(value), 3) for key, value in trainer.callback_metrics.items()})

# %%
# The policy to train with can be fitted to the very module: anything from images to logits is a classifier.
fitted = LearnedAffineAugment.fit(module.network, batches(*images("train", 0, 1000)), max_steps=30,
                                  val_loader=batches(*images("train", 1000, 1400)))  # fmt: skip
module.augment = fitted.requires_grad_(False)
figure = plots.plot_before_after(fitted, images("train", 13, 18)[0])
