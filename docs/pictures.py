"""Make the pictures of README and docs again, from the embedded images: ``python docs/pictures.py`` (minutes).

Writes before_after, fan, quiver, parameters, entropy, curves and strengths to docs/images. Everything is seeded;
another machine may differ in the last digits.
"""

import runpy
from pathlib import Path

import torch

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment, plots
from learned_affine.classifier import SmallConvNet, train_classifier

HERE = Path(__file__).parent
OUT = HERE / "images"
FASHION = runpy.run_path(str(HERE.parent / "examples" / "gallery" / "fashion.py"))
NAMES, batches, images = (FASHION[name] for name in ("NAMES", "batches", "images"))


def main() -> None:
    """A classifier, three policies, all pictures."""
    train, unseen = images("train", 0, 1600), images("train", 1600, 2000)
    torch.manual_seed(0)
    classifier = SmallConvNet(classes=10, channels=1).to(memory_format=torch.channels_last)
    train_classifier(classifier, batches(*train), epochs=25, seed=0, progress=False)

    def fit(limits: AffineLimits, **config: float) -> LearnedAffineAugment:
        val_loader = batches(*unseen, shuffle=False)
        options = {"val_loader": val_loader, "limits": limits, "padding_mode": "zeros", "config": FitConfig(**config)}
        return LearnedAffineAugment.fit(classifier, batches(*train), **options)

    right = fit(AffineLimits.modest())
    weak = fit(AffineLimits.modest(), tolerance=0.02)
    strong = fit(AffineLimits.wide(), tolerance=0.6)

    pixels, labels = train
    plots.plot_before_after(right, pixels[:10], OUT / "before_after.png")
    plots.plot_fan(right, pixels[:6], OUT / "fan.png")
    plots.plot_quiver(right, pixels[:6], OUT / "quiver.png")
    plots.plot_parameters(right, pixels[:800], labels[:800], OUT / "parameters.png", names=NAMES)
    plots.plot_entropy(right, classifier, pixels[:250], OUT / "entropy.png")
    right.history.plot(OUT / "curves.png")
    rows = {"weak": weak, "right": right, "too strong": strong}
    plots.plot_policies(rows, pixels[:8], OUT / "strengths.png", draws=2)


if __name__ == "__main__":
    main()
