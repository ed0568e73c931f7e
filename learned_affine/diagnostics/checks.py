"""Alarms: named warnings that say what went wrong with a fit, and what to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from learned_affine._checks import warn_caller

SYMMETRY_NAMES = (
    "left as it is",
    "rotated by 90 degrees",
    "rotated by 180 degrees",
    "rotated by 270 degrees",
    "flipped left-right",
    "flipped left-right and rotated by 90 degrees",
    "flipped upside-down",
    "flipped left-right and rotated by 270 degrees",
)  # by code
BINDING = 0.5  # nats of divergence from the prior
OVER = 1.5  # times the budget
LEAST_HARM = 0.03  # nats: what a symmetry costs a class is known no better


class FitWarning(UserWarning):
    """A fit that did not lead to a useful policy; its subclasses say how."""


class IdentityCollapseWarning(FitWarning):
    """The policy hardly moves the images."""


class DestroyedImagesWarning(FitWarning):
    """The policy leaves little of the images, or nothing that the classifier recognises."""


class SymmetryWarning(FitWarning):
    """A flip or a rotation by right angles makes the labels of a class wrong, although it costs little in the mean."""


class DeadNetworkWarning(FitWarning):
    """The localization network gives every image the very same policy."""


class LimitsBindWarning(FitWarning):
    """The policy fills its limits, and the classifier can handle more than they allow."""


class LittleToGainWarning(FitWarning):
    """The classifier hardly overfits, so augmentation has little to give; a narrow policy is right then."""


class TargetWarning(FitWarning):
    """The target was not reached, had to be guessed, or was measured on few images or on images of training."""


class PixelRangeWarning(FitWarning):
    """The images' range does not fit what ``preprocess`` expects."""


class ResamplingWarning(FitWarning):
    """Resampling alone, without any geometry, costs the classifier more than half of the budget."""


class SetupWarning(FitWarning):
    """The classifier is wrong on most images, as where ``preprocess`` is missing or classes are in another order."""


class StoppedFitWarning(FitWarning):
    """The fit stopped early since a number was not finite; the last good weights are kept."""


def check_fit(history: Any, deterministic: bool) -> list[FitWarning]:
    """The alarms that the last round of a fit sets off, none if all is well."""
    last, info = history.last(), history.info
    if not last:
        return []  # nothing was measured
    found: list[FitWarning] = []
    if (last["displacement"] < 0.01 and last["symmetry_chance"] < 0.05) or (
        deterministic and last["displacement"] < 0.02
    ):
        found.append(IdentityCollapseWarning(_identity_text(last, info)))
    chance = info["chance"]
    lost = last["agreement"] < chance + 0.25 * (1 - chance)  # of two classes, useful policies go down to 0.8
    # only the raw head can run away, and nothing brings it back
    lost = lost or (deterministic and last["displacement"] > 0.25)
    if last["displacement"] == last["displacement"] and (last["visible_area"] < 0.3 or lost):
        found.append(DestroyedImagesWarning(_destroyed_text(last)))
    return found + ([] if deterministic else _cost_alarms(last, info) + _symmetry_alarms(last, info))


def _destroyed_text(last: dict[str, float]) -> str:
    return (
        f"the policy destroys the images: mean displacement {last['displacement']:.0%} of the side, "
        f"{last['visible_area']:.0%} of the image visible, the classifier agrees with its clean prediction on "
        f"{last['agreement']:.0%}. Use the calibrated objective, narrower limits, or a smaller target."
    )


def _symmetry_alarms(last: dict[str, float], info: dict[str, Any]) -> list[FitWarning]:
    """Whether a symmetry costs a class more than the budget: its chance times what it costs those images."""
    harms = [
        (harm, code, row) for row in info.get("classes_moved", ()) for code, harm in enumerate(row["harm"]) if code
    ]
    if not harms:
        return []
    harm, code, row = max(harms, key=lambda one: one[0])
    if harm <= max(last["budget"], LEAST_HARM):
        return []
    names = info.get("class_names")
    name = f" ({names[row['class']]})" if names else ""
    return [
        SymmetryWarning(
            f"class {row['class']}{name} is {SYMMETRY_NAMES[code]} with a chance of {row['chance'][code]:.2f}, which "
            f"adds {harm:.2f} nats to its cost on held-out images, more than the budget of {last['budget']:.2f}. Give "
            "more held-out images of it, a label_map if it becomes another class, or narrower limits.symmetries."
        )
    ]


def _identity_text(last: dict[str, float], info: dict[str, Any]) -> str:
    text = f"the policy collapsed to the identity: mean displacement {last['displacement']:.2%} of the image side. "
    config = info.get("config", {})
    if config.get("objective") == "paper" and config.get("sign") == "printed":
        return text + "The paper's printed loss has this optimum; use FitConfig() instead."
    return text + (
        "Give images that the classifier was not trained on as val_loader, or a larger target or tolerance; "
        "a classifier that is no better than a guess on those leaves no room."
    )


def _cost_alarms(last: dict[str, float], info: dict[str, Any]) -> list[FitWarning]:
    """Whether the budget was held: from above, and from below within the limits."""
    found: list[FitWarning] = []
    numbers = last["kl"] - last["symmetry_kl"]
    if numbers < BINDING and last["cost"] <= last["budget"]:
        found.append(
            LimitsBindWarning(
                f"the limits bind: the policy fills them (its divergence from the prior is {numbers:.2f} nats), and "
                f"augmented images cost {last['cost']:.2f} nats more, within the budget of {last['budget']:.2f}. The "
                "classifier tolerates all that is allowed: wider limits may help, but look at the pictures first."
            )
        )
    elif last["cost"] > OVER * last["budget"]:
        found.append(
            TargetWarning(
                f"augmented images stay harder than they should be: they cost {last['cost']:.3g} nats more, with a "
                f"budget of {last['budget']:.3g}. Judge more images (FitConfig(images=)), or give more held-out ones."
            )
        )
    wanted = info.get("localization", {}).get("per_image", True) and numbers >= BINDING  # else all are the prior
    if wanted and last["between_image_variance"] < 1e-9:
        found.append(
            DeadNetworkWarning(
                "the localization network is dead: it gives all images the same policy. Fit again at a lower "
                "learning_rate, and look at the images: are they all the same?"
            )
        )
    return found


def check_pixel_range(images: Tensor) -> None:
    """Warn where the pixels are not spread over [0, 1], as ``preprocess`` expects them of a floating dtype."""
    if not images.is_floating_point():
        return  # with a range of its own, which is that of the dtype
    low, high = float(images.min()), float(images.max())
    if low < -0.01 or high > 1.01:
        why = "are they normalised already, or 0 to 255 as floats?"
    elif low >= 0 and high <= 1.01 / 255:
        why = "are they divided by 255 twice?"
    else:
        return
    text = f"preprocess expects pixels within [0, 1], got [{low:.3g}, {high:.3g}]: {why} Change the loader's transform."
    warn_caller(PixelRangeWarning(text))


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
    warn_caller(
        SetupWarning(
            f"the classifier {what}. Is preprocess= missing or another one than in its training? Is the order of the "
            "classes that of the labels, in loader and in val_loader? A fit to wrong answers gives a narrow policy."
        )
    )


def check_logits(output: Tensor) -> None:
    """Warn where the rows of ``(B, m)`` are probabilities of classes."""
    if output.shape[1] > 1 and bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < 1e-2).all()):
        warn_caller(
            SetupWarning(
                "the classifier gives rows that sum to one, as a softmax does, but it should give logits: leave the "
                "softmax out, or give lambda images: classifier(images).log()."
            )
        )
