"""Make the pictures of the guide again, from the embedded images: ``python docs/pictures.py`` (two minutes).

Writes symmetries, parameters, curves, strengths and photographs to docs/images. Needs scikit-image for the
last one. Everything is seeded; another machine may differ in the last digits. ``demo.png`` is ``policy.png`` of
``make demo``.
"""

import copy
import runpy
from pathlib import Path

import torch

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment, plots
from learned_affine.classifier import SmallConvNet, train_classifier

HERE = Path(__file__).parent
OUT = HERE / "images"
GALLERY = HERE.parent / "examples" / "gallery"
FASHION = runpy.run_path(str(GALLERY / "fashion.py"))
NAMES, batches, images = (FASHION[name] for name in ("NAMES", "batches", "images"))
TOO_HARD = 1.8  # nats, of the policy that is too strong


def main() -> None:
    """A classifier, three policies, all pictures."""
    train, held_out = images("train", 0, 1600), images("train", 1600, 2000)
    torch.manual_seed(0)
    classifier = SmallConvNet(classes=10, channels=1).to(memory_format=torch.channels_last)
    train_classifier(classifier, batches(*train), epochs=20, seed=0, progress=False)

    def fit(limits: AffineLimits, config: FitConfig) -> LearnedAffineAugment:
        options = {"val_loader": batches(*held_out, shuffle=False), "limits": limits, "padding_mode": "zeros"}
        return LearnedAffineAugment.fit(classifier, batches(*train), config=config, progress=False, **options)

    right = fit(AffineLimits.modest(), FitConfig())
    strong = fit(AffineLimits.wide(), FitConfig(target=TOO_HARD))
    weak = copy.deepcopy(right)
    weak.strength = 0.3

    (pixels, labels), test = train, images("test", 0, 500)
    plots.plot_summary(right, batches(*test, shuffle=False), NAMES, OUT / "symmetries.png")
    plots.plot_parameters(right, pixels[:800], labels[:800], OUT / "parameters.png", names=NAMES)
    right.history.plot(OUT / "curves.png")
    rows = {"weak": weak, "right": right, "too strong": strong}
    plots.plot_policies(rows, pixels[:6], OUT / "strengths.png", draws=2)

    photographs = runpy.run_path(str(GALLERY / "photos.py"))["photographs"]()
    shipped = LearnedAffineAugment.from_pretrained("CIFAR10_V3")
    plots.plot_policies({"augmented": shipped}, photographs, OUT / "photographs.jpg", draws=2)


if __name__ == "__main__":
    main()
