"""Alarms: named warnings that say what went wrong with a fit, and what to change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from learned_affine._checks import warn_caller

FEWEST_STEPS = 60  # as many as a default fit takes at least; before, it is too early to tell
BINDING = 0.5  # nats of divergence from the prior
HARM = 0.25  # nats that mirrors may add to the loss of a class


class FitWarning(UserWarning):
    """A fit that did not lead to a useful policy; its subclasses say how."""


class IdentityCollapseWarning(FitWarning):
    """The policy hardly moves the images."""


class DestroyedImagesWarning(FitWarning):
    """The policy leaves little of the images, or nothing that the classifier recognises."""


class MirrorWarning(FitWarning):
    """Mirrors make the labels of a class wrong, although they cost little in the mean."""


class DeadNetworkWarning(FitWarning):
    """The localization network gives every image the very same output."""


class LimitsBindWarning(FitWarning):
    """The policy fills its limits, and the classifier can handle more than they allow."""


class LittleToGainWarning(FitWarning):
    """The classifier hardly overfits, so augmentation has little to give; a narrow policy is right then."""


class DiscriminatorWarning(FitWarning):
    """The discriminator is at chance, or always right."""


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


def check_fit(history: Any, classes: int, deterministic: bool) -> list[FitWarning]:
    """The alarms that the last epoch of a fit sets off, none if all is well."""
    last, info = history.last(), history.info
    found: list[FitWarning] = []
    if not last:
        return found  # nothing was measured yet
    if last["displacement"] < 0.02:  # half a pixel of a 28 pixel image
        found.append(IdentityCollapseWarning(_identity_text(last, info)))
    chance = info.get("chance", 1 / max(1, classes))
    lost = last["agreement"] < chance + 0.25 * (1 - chance)  # of two classes, useful policies go down to 0.8
    # only the raw head can run away, and nothing brings it back
    lost = lost or (deterministic and last["displacement"] > 0.25)
    if last["displacement"] == last["displacement"] and (last["visible_area"] < 0.3 or lost):
        found.append(
            DestroyedImagesWarning(
                f"the policy destroys the images: mean displacement {last['displacement']:.0%} of the side, "
                f"{last['visible_area']:.0%} of the image visible, the classifier agrees with its clean prediction on "
                f"{last['agreement']:.0%}. Use the calibrated objective, narrower limits, or a smaller target."
            )
        )
    found += _mirror_alarms(info)
    found += _image_alarms(info)
    found += _discriminator_alarms(last, info)
    found += _target_alarms(last, info)
    return found


def _mirror_alarms(info: dict[str, Any]) -> list[FitWarning]:
    """Whether a class still bears mirrors that cost it much."""
    worst = info.get("worst_mirrored_class")
    if not worst or worst["cost"] < HARM:
        return []
    name = f" ({worst['name']})" if "name" in worst else ""
    return [
        MirrorWarning(
            f"mirrors harm class {worst['class']}{name}: it is flipped with a chance of {worst['chance']:.2f}, which "
            f"adds {worst['cost']:.2f} nats to its loss. Fit longer (steps), give more held-out images of it, or "
            "forbid mirrors by limits=AffineLimits(mirror=False)."
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


def _image_alarms(info: dict[str, Any]) -> list[FitWarning]:
    """Whether the policy depends on the image at all, where it should."""
    if not info.get("localization", {}).get("per_image", True):
        return []  # one policy for all was asked for
    spread = info.get("output_spread", math.nan)
    if spread < 1e-5:
        return [
            DeadNetworkWarning(
                f"the localization network is dead: its output no longer varies (by {spread:.1e} between images). "
                "Fit again at a lower learning_rate, and look at the images: "
                "are they all the same?"
            )
        ]
    return []


def _discriminator_alarms(last: dict[str, float], info: dict[str, Any]) -> list[FitWarning]:
    score = last["discriminator_loss"]
    if score != score or info.get("steps", 0) < 100 or info.get("config", {}).get("objective") == "paper":
        return []
    if score < 0.02:
        return [
            DiscriminatorWarning(
                f"the discriminator is always right (its loss is {score:.3f}): its term has no useful gradient. "
                "Lower discriminator_rate, or set adversarial_weight=0."
            )
        ]
    if score > 2 * math.log(2) - 0.005:
        return [
            DiscriminatorWarning(
                f"the discriminator is at chance (its loss is {score:.3f}, a guess has 1.386): its term does nothing. "
                "Raise discriminator_rate, or set adversarial_weight=0."
            )
        ]
    return []


def _target_alarms(last: dict[str, float], info: dict[str, Any]) -> list[FitWarning]:
    """Whether the target was held: from above, and from below within the limits."""
    config, target = info.get("config", {}), info.get("target")
    if not target or config.get("objective") != "calibrated":
        return []
    numbers = last["kl"] - (last["mirror_kl"] if last["mirror_kl"] == last["mirror_kl"] else 0.0)
    if numbers < BINDING and last["cross_entropy"] <= target:
        return [
            LimitsBindWarning(
                f"the limits bind: the policy fills them (its divergence from the prior is {numbers:.2f} nats), and "
                f"augmented images cost {last['cross_entropy']:.2f} nats, no more than the target {target:.2f}. The "
                "classifier tolerates all that is allowed: wider limits may help, but look at the pictures first."
            )
        ]
    if info.get("steps", 0) >= FEWEST_STEPS and last["cross_entropy"] > 1.5 * target + 0.05:
        return [
            TargetWarning(
                f"augmented images stay harder than the target: cross entropy {last['cross_entropy']:.2f} against "
                f"{target:.2f}. Fit longer (steps), raise dual_rate, or lower adversarial_weight."
            )
        ]
    return []


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
