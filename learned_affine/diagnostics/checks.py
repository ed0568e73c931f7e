"""What is wrong with a fit: one warning with a kind, which says what was measured and what to change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.transforms.transform import PolicyTransform

BINDING = 0.5  # nats of divergence from the prior
OVER = 1.5  # times the budget
LEAST_HARM = 0.03  # nats: what a symmetry costs a class is known no better


class FitWarning(UserWarning):
    """A fit that may not have led to a useful policy. What it prints starts with its kind.

    Args:
        kind: ``"dead-network"``, ``"destroyed-images"``, ``"identity-collapse"``, ``"limits-bind"``,
            ``"little-to-gain"``, ``"pixel-range"``, ``"resampling"``, ``"setup"``, ``"stopped-fit"``, ``"symmetry"``
            or ``"target"``. The guide's page on fitting has what to do about each.
        text: what was measured, and what to change.

    Example:
        >>> import warnings
        >>> warnings.filterwarnings("ignore", "limits-bind", FitWarning)  # this kind alone
        >>> with warnings.catch_warnings(record=True) as found:
        ...     warnings.simplefilter("always")
        ...     warnings.warn(FitWarning("target", "without val_loader the target is a guess"))
        >>> found[0].message.kind
        'target'
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def info_of(augment: PolicyTransform) -> dict[str, Any]:
    """What the history says of the whole fit; nothing where there was none."""
    return getattr(augment.history, "info", {})


def check_fit(history: Any) -> list[FitWarning]:
    """The warnings that the last round of a fit deserves, none if all is well."""
    last, info = history.last(), history.info
    if not last:
        return []  # nothing was measured
    is_paper = info["config"]["objective"] == "paper"  # which has no random draws, and no budget
    found = [*_of_images(last, info, is_paper)]
    if not is_paper:
        found += [*_of_costs(last, info), *_symmetry(last, info)]
    return [FitWarning(kind, text) for kind, text in found]


def fills_limits(last: dict[str, float]) -> bool:
    """Whether the warps of the last round are about as wide as the limits allow, where these allow any."""
    return last["displacement"] > 0 and last["kl"] - last["symmetry_kl"] < BINDING


def _of_images(last: dict[str, float], info: dict[str, Any], is_paper: bool) -> Iterator[tuple[str, str]]:
    """Whether images hardly move, or are lost."""
    moved, visible, agreement = last["displacement"], last["visible_area"], last["agreement"]
    if moved < 0.02 if is_paper else moved < 0.01 and last["symmetry_chance"] < 0.05 and not fills_limits(last):
        text = f"images hardly move: mean displacement {moved:.2%} of the side. "
        if is_paper and info["config"]["sign"] == "printed":
            text += "The paper's printed loss has this optimum; use FitConfig() instead."
        else:
            text += (
                "Give images that the classifier was not trained on as val_loader, or a larger target or tolerance; "
                "a classifier that is no better than a guess on those leaves no room."
            )
        yield "identity-collapse", text
    lost = agreement < info["chance"] + 0.25 * (1 - info["chance"])  # useful policies go down to 0.8 of two
    # only the raw head can run away, and nothing brings it back
    lost = lost or visible < 0.3 or (is_paper and moved > 0.25)
    if lost and not math.isnan(moved):
        yield (
            "destroyed-images",
            f"mean displacement {moved:.0%} of the side, {visible:.0%} of the image visible, the classifier agrees "
            f"with its clean prediction on {agreement:.0%}. Use {'the calibrated objective, ' * is_paper}narrower "
            "limits, or a smaller target.",
        )


def _of_costs(last: dict[str, float], info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether the policy fills its limits, costs more than the budget, or is the same for all images."""
    numbers, cost, budget = last["kl"] - last["symmetry_kl"], last["cost"], last["budget"]
    if fills_limits(last) and cost <= budget:
        yield (
            "limits-bind",
            f"the policy fills the limits (its divergence from the prior is {numbers:.2f} nats), and augmented images "
            f"cost {cost:.2f} nats more, within the budget of {budget:.2f}. The classifier tolerates all that is "
            "allowed: wider limits may help, but look at the pictures first.",
        )
    if cost > OVER * budget:
        yield (
            "target",
            f"augmented images stay harder than they should be: they cost {cost:.3g} nats more, with a budget of "
            f"{budget:.3g}. Judge more images (FitConfig(images=)), or give more held-out ones.",
        )
    observes = info.get("localization", {}).get("per_image", True)
    if observes and last["between_image_variance"] < 1e-9 and numbers >= BINDING:  # else all policies are the prior
        yield (
            "dead-network",
            "the localization network gives all images the same policy. Fit again at a lower learning_rate, and look "
            "at the images: are they all the same?",
        )


def _symmetry(last: dict[str, float], info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether a symmetry costs a class more than the budget: its chance times what it costs those images."""
    rows = info.get("classes_moved", ())
    harms = [(harm, code, row) for row in rows for code, harm in enumerate(row["harm"]) if code]
    harm, code, row = max(harms, key=lambda one: one[0], default=(0.0, 0, dict[str, Any]()))
    if harm > max(last["budget"], LEAST_HARM):
        names, moves = info.get("class_names"), ["flipped left-right"] * (code >= 4)
        moves += [f"rotated by {90 * (code % 4)} degrees"] * (code % 4 > 0)
        name = f" ({names[row['class']]})" if names else ""
        yield (
            "symmetry",
            f"class {row['class']}{name} is {' and '.join(moves)} with a chance of {row['chance'][code]:.2f}, which "
            f"adds {harm:.2f} nats to its cost on held-out images, more than the budget of {last['budget']:.2f}. Give "
            "more held-out images of it, a label_map if it becomes another class, or narrower limits.symmetries.",
        )


def check_pixel_range(images: Tensor) -> None:
    """Warn where the pixels are not spread over [0, 1], as ``preprocess`` expects them of a floating dtype."""
    if not images.is_floating_point():
        return
    low, high = float(images.min()), float(images.max())
    outside, twice = low < -0.01 or high > 1.01, low >= 0 and high <= 1.01 / 255
    if outside or twice:
        why = "are they normalised already, or 0 to 255 as floats?" if outside else "are they divided by 255 twice?"
        text = f"preprocess expects pixels within [0, 1], got [{low:.3g}, {high:.3g}]: {why}"
        warn_caller(FitWarning("pixel-range", f"{text} Change the loader's transform."))


def check_set_up(info: dict[str, Any], say: Callable[[str], None]) -> None:
    """Say how right the classifier is, as far as that is known, and warn where it is wrong on most images."""
    training, held_out = info.get("training_accuracy"), info.get("held_out_accuracy")
    known = {"training images": training, "held-out ones": held_out}
    parts = [f"{100 * value:.1f} % of {name}" for name, value in known.items() if value is not None]
    if parts:
        say(f"the classifier is right on {' and '.join(parts)}")
    if training is not None and training < 0.5:
        what = f"is wrong on {100 * (1 - training):.0f} % of its own training images"
    elif held_out is not None and held_out < info["chance"]:
        what = f"is right on {100 * held_out:.3g} % of held-out images, and by chance on {100 * info['chance']:.3g} %"
    else:
        return
    text = (
        f"the classifier {what}. Is preprocess= missing or another one than in its training? Is the order of the "
        "classes that of the labels, in loader and in val_loader? A fit to wrong answers gives a narrow policy."
    )
    warn_caller(FitWarning("setup", text))


def check_names(known: list[str] | None, others: list[str] | None) -> None:
    """Warn where the classes of held-out images have other names, or another order, than those of training images."""
    if known and others and known != others:
        pairs = enumerate(zip_longest(known, others))
        place, names = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        shown = ("none" if name is None else repr(name) for name in names)
        text = (
            f"class {place} is {' in loader and '.join(shown)} in val_loader: a folder without images of some class "
            "numbers the others anew. Give both the same classes in the same order."
        )
        warn_caller(FitWarning("setup", text))


def check_logits(output: Tensor) -> None:
    """Warn where the rows of ``(B, m)`` are probabilities of classes."""
    if output.shape[1] > 1 and bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < 1e-2).all()):
        text = (
            "the classifier gives rows that sum to one, as a softmax does, but it should give logits: leave the "
            "softmax out, or give lambda images: classifier(images).log()."
        )
        warn_caller(FitWarning("setup", text))


def preprocess_of(given: Any, augment: PolicyTransform) -> Any:
    """The argument of a user's; in its place that of the fit, and a warning where it stayed behind."""
    found, name = getattr(augment.history, "preprocess", None), info_of(augment).get("preprocess")
    if given is None and found is None and name is not None:
        text = (
            f"preprocess must be given where the augmenter was saved and loaded: that of the fit, {name}, stays "
            "behind. Give it again, or torch.nn.Identity() for none."
        )
        warn_caller(FitWarning("setup", text))
    return found if given is None else given
