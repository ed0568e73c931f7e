"""Draw docs/images/cost_curves.png, the picture of "How it works": ``python docs/cost_curves.py`` (under a minute).

For some test icons: what rotations cost a classifier that was trained with rotations, what the network predicts that
they cost, and the range of angles that follows.
"""

import runpy
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, train_classifier
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.plots.canvas import BLUE, GREY, ORANGE, SKY, blank_figure, finish, show_image
from learned_affine.policy.costs import Costs
from learned_affine.policy.distribution import DIMENSIONS
from learned_affine.tasks.model import Model, temperature_of

HERE = Path(__file__).parent
DATASETS = runpy.run_path(str(HERE.parent / "examples" / "datasets.py"))
load, Images = DATASETS["load"], DATASETS["Images"]
SHOWN = ("sun", "star", "heart", "arrow-up", "check", "chevron-left")
LIMITS = AffineLimits(angle=60.0, symmetries="none")
ANGLES = torch.arange(-59.0, 60.0, 2.0)  # without 0, where nothing is resampled
INTERVAL = 1.645  # standard deviations on each side that hold 90 % of a normal distribution


def main() -> None:
    """A classifier, a fit to it, the picture."""
    torch.manual_seed(0)
    train, test = load("icons", "", download=False)
    train, held_out = train.hold_out(600, seed=0)
    classifier = trained(train)
    augment = LearnedAffineAugment.fit(
        classifier, train.loader(64), val_loader=held_out.loader(64), limits=LIMITS, padding_mode="border"
    )
    model = Model(classifier.eval())
    with torch.no_grad():
        model.temperature = temperature_of(model.answer(held_out.images), held_out.labels)
        draw(augment, model, first_of_each(test))


def trained(train: Images) -> SmallConvNet:
    """A classifier that has seen half of the icons at some angle, since it only distinguishes what it has learned."""
    rotation = v2.RandomApply([v2.RandomRotation(180, v2.InterpolationMode.BILINEAR, fill=1.0)], p=0.5)
    classifier = SmallConvNet(len(train.classes), train.images.shape[1]).to(memory_format=torch.channels_last)
    loader = DataLoader(TensorDataset(train.images, train.labels), 64, shuffle=True)
    train_classifier(classifier, loader, augment=lambda images: torch.stack(list(map(rotation, images))), epochs=8)
    return classifier


def first_of_each(test: Images) -> Images:
    """The first test icon of each class that is shown."""
    labels = [test.classes.index(name) for name in SHOWN]
    return test.take(torch.tensor([int((test.labels == label).nonzero()[0]) for label in labels]))


def draw(augment: LearnedAffineAugment, model: Model, icons: Images) -> None:
    """One panel an icon."""
    policy = augment.policy(icons.images)
    augment.localization.reprice(augment.history["price"][-1])  # from here on its costs are in nats again
    costs = augment.localization.costs(augment.localization.observe(icons.images))
    figure, axes = blank_figure(2, 3, (9.0, 5.2), sharex=True, sharey=True)
    for row, (axis, name) in enumerate(zip(axes.flat, SHOWN, strict=True)):
        ends = policy.mean[row, 0] + torch.tensor([-INTERVAL, INTERVAL]) * policy.width[row, 0]
        axis.axvspan(*(LIMITS.angle * torch.tanh(ends)).tolist(), color=SKY, alpha=0.35, label="90 % of the draws")
        axis.plot(ANGLES, measured(augment, model, icons, row), color=BLUE, marker=".", label="measured")
        axis.plot(ANGLES, predicted(costs, row), "--", color=ORANGE, linewidth=2, label="predicted")
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set_title(name, fontsize=10)
        axis.set_ylim(-0.6, 7.6)
        show_image(axis.inset_axes((0.38, 0.66, 0.24, 0.32)), icons.images[row], (0.0, 1.0))
    for axis in axes[1]:
        axis.set_xlabel("rotation, degrees", fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel("cost, nats", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    finish(figure, HERE / "images" / "cost_curves.png")


def measured(augment: LearnedAffineAugment, model: Model, icons: Images, row: int) -> torch.Tensor:
    """What each angle costs the classifier, without what resampling alone costs."""
    count = len(ANGLES)
    still = AffineParameters.identity(count)
    turned = AffineParameters(ANGLES, *still.tensors()[1:])
    images, label = icons.images[row].expand(count, -1, -1, -1), icons.labels[row]
    warped = torch.cat([images[:1], augment.warp(images, turned)])
    cost = model.task.loss(model.output(model.answer(warped)), label.expand(count + 1))
    return cost[1:] - cost[0] - augment.history.info[f"resampling_{augment.interpolation}"]


def predicted(costs: Costs, row: int) -> torch.Tensor:
    """What the network predicts for the same angles, all else at rest."""
    z = torch.zeros(len(ANGLES), 1, DIMENSIONS)
    z[:, 0, 0] = torch.atanh(ANGLES / LIMITS.angle)
    return Costs(costs.centre[row : row + 1], costs.curvature[row : row + 1]).of(z)[:, 0]


if __name__ == "__main__":
    main()
