"""Averaging at test time: a classifier's mean answer over an image and what its own policy makes of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from learned_affine._checks import check_batch, check_choice, check_count, check_range, check_type
from learned_affine.diagnostics.checks import info_of, preprocess_of
from learned_affine.geometry.parameters import AffineParameters, is_traced
from learned_affine.tasks.classification import MultiLabel, SingleLabel
from learned_affine.tasks.model import Model, task_of
from learned_affine.tasks.targets import label_map_of
from learned_affine.transforms.transform import PolicyTransform

RAREST = 0.01  # the chance of a symmetry that is worth a pass through the classifier


class AveragedClassifier(nn.Module):
    """Gives the mean probability over an image and what its policy makes of it.

    Over the untouched image and ``draws`` draws of the whole policy it is for a classifier that was trained with it:
    one that never saw such warps can get worse. Over the *symmetries* alone, flips and quarter turns, each as likely as
    the policy says, nothing is interpolated, and a classifier that never saw them loses little or gains. Every call
    draws from the same seed. ``torch.export`` records it for one size of batch, since its draws become constants.

    Args:
        classifier: from ``(B, C, H, W)`` to logits ``(B, m)`` with one label per image, or to something with
            ``.logits``. It is not copied; its mode is yours to set.
        augment: a fitted augmenter. It is copied, so what is set on it later has no effect here. Its ``p`` does not
            count: all draws are warped.
        draws: draws per image, beside the untouched image; with ``over="symmetries"`` it does not count.
        over: ``"draws"``, or ``"symmetries"``.
        strength: in [0, 1], share of the augmenter's own strength. Half of it was better than all of it where a
            classifier is sure and right, and nearly as good elsewhere.
        label_map: what labels become in a symmetry, by permutations; if None, as in the fit.
        task: ``"binary"`` for a classifier of one logit, which is read as the two ``(0, z)``; else one label per image.
        preprocess: applied to the images after the warp, for instance ``v2.Normalize(...)``; if None, as in the fit.
            ``torch.nn.Identity()`` for none.
        seed: of the draws.
        max_images: how many images the classifier is given at once; the batch if that is larger.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        >>> averaged = AveragedClassifier(classifier, LearnedAffineAugment())
        >>> averaged(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        classifier: Callable[..., Any],
        augment: PolicyTransform,
        draws: int = 8,
        *,
        over: Literal["draws", "symmetries"] = "draws",
        strength: float = 0.5,
        label_map: Mapping[str, Any] | None = None,
        task: str | SingleLabel | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        max_images: int = 1024,
    ) -> None:
        super().__init__()
        check_type("augment", augment, PolicyTransform, "a LearnedAffineAugment")
        check_type("classifier", classifier, Callable, "a module or a function")
        self.over = check_choice("over", over, ("draws", "symmetries"))
        check_range("strength", strength, 0.0, 1.0)
        label_rules, self.task = label_map_of(label_map, info_of(augment)), task_of(task)
        self.label_map = label_rules if label_rules is not None and label_rules.rules else None
        if isinstance(self.task, MultiLabel):
            raise ValueError(f"task must be one of classes, got {self.task.name!r}")
        if self.label_map is not None:
            self.label_map.check_permutations()
            classes = max(map(len, self.label_map.rules.values()))
            self.orders = self.label_map.orders(classes).tolist()  # numbers, which are constants in a graph
        self.classifier, self.preprocess = classifier, preprocess_of(preprocess, augment)
        self.augment = copy.deepcopy(augment)
        self.augment.strength = strength * augment.strength
        self.draws, self.max_images = check_count("draws", draws), check_count("max_images", max_images)
        self.seed = seed

    def forward(self, images: Tensor) -> Tensor:
        """Log probabilities ``(B, m)``, of one logit ``(B, 2)``, of images ``(B, C, H, W)``."""
        check_batch("images", images)
        with torch.no_grad():
            drawn, weights = (self._symmetries if self.over == "symmetries" else self._draws)(images)
        at_once = max(1, self.max_images // max(1, len(images)))
        model, answers = Model(self.classifier, self.preprocess, task=self.task), []
        for start in range(0, len(drawn), at_once):
            some = drawn[start : start + at_once]
            views = [images if one is None else self.augment.warp(images, one) for one in some]
            logits = model.answer(torch.cat(views)).log_softmax(-1).unflatten(0, (len(views), len(images)))
            for answer, own in zip(logits, some, strict=True):
                if self.label_map is not None and own is not None:  # its labels are those of moved images
                    self.label_map.check(answer.shape[1])
                    answer = answer.gather(1, torch.tensor(self.orders, device=answer.device)[own.codes()])
                answers.append(answer)
        return (torch.stack(answers) + weights[..., None]).logsumexp(0)

    def _draws(self, images: Tensor) -> tuple[list[AffineParameters | None], Tensor]:
        # the untouched image and draws, and the logarithm of the weight of each, (K, 1)
        numbers, shape = self._noise(len(images))
        noise = torch.tensor(numbers, device="cpu").view(shape).unbind() if shape else [None] * self.draws
        drawn = [None, *(self.augment.draw_parameters(images, one) for one in noise)]
        return drawn, images.new_full((len(drawn), 1), -math.log(len(drawn)), dtype=torch.float32)

    def _symmetries(self, images: Tensor) -> tuple[list[AffineParameters | None], Tensor]:
        # those that an image of the batch tolerates, and the logarithm of the probability of each, (K, B)
        policy = None if self.augment.deterministic else self.augment.policy(images)
        if policy is None:
            return [None], images.new_zeros((1, 1), dtype=torch.float32)
        chances = policy.chances_at(self.augment.strength)
        allowed = self.augment.limits.allowed_symmetries(*images.shape[-2:])
        codes = [code for code in allowed if code == 0 or is_traced() or bool((chances[:, code] > RAREST).any())]
        weights = chances[:, codes].T
        moved = [None if code == 0 else AffineParameters.symmetry(code, len(images), images.device) for code in codes]
        return moved, (weights / weights.sum(0)).log()

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _noise(self, count: int) -> tuple[list[float], list[int]]:
        """The noise of the draws in plain numbers, and its shape: the same in each call, so in a graph a constant."""
        generator = torch.Generator().manual_seed(self.seed)  # no attribute: threads share those, and workers change it
        with _disable_current_modes(), torch._C._DisableFuncTorch():  # in torch.export and vmap nothing has a value
            drawn = (self.augment.noise(count, generator) for _ in range(self.draws))
            noise = [one for one in drawn if one is not None]
            return (torch.stack(noise).flatten().tolist(), [len(noise), *noise[0].shape]) if noise else ([], [])

    def extra_repr(self) -> str:
        """What was set."""
        return f"draws={self.draws}, seed={self.seed}" if self.over == "draws" else "over='symmetries'"
