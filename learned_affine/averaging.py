"""Averaging at test time: a classifier's mean answer over an image and draws of its own policy."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from learned_affine._checks import check_batch, check_count, check_range, shown
from learned_affine.tasks.model import Model
from learned_affine.transforms.transform import PolicyTransform


class AveragedClassifier(nn.Module):
    """Gives the mean probability over the untouched image and ``draws`` draws of its policy, flips included.

    Use it for a classifier that was trained with the policy: one that never saw such warps can get worse. The answer to
    a batch is the same each time, since every call draws from the same seed. The classifier is given at most
    ``max_images`` images at once, or the batch if that is larger.

    Args:
        classifier: from ``(B, C, H, W)`` to logits ``(B, m)`` with one label an image, or to something with
            ``.logits``. It is not copied; its mode is yours to set.
        augment: a fitted augmenter. It is copied, so what is set on it later has no effect here. Its ``p`` does not
            count: all draws are warped.
        draws: draws an image, beside the untouched image.
        strength: in [0, 1], share of the augmenter's own strength. Half of it was better than all of it where a
            classifier is sure and right, and nearly as good elsewhere.
        preprocess: applied to the images after the warp, for instance ``v2.Normalize(...)``.
        seed: of the draws.
        max_images: how many images the classifier is given at once.

    ``torch.export`` records it for one size of batch, since its draws become constants.

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
        strength: float = 0.5,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        max_images: int = 1024,
    ) -> None:
        super().__init__()
        if not isinstance(augment, PolicyTransform):
            raise TypeError(f"augment must be a LearnedAffineAugment, got {shown(augment)}")
        if not callable(classifier):
            raise TypeError(f"classifier must be a module or a function, got {shown(classifier)}")
        check_range("strength", strength, 0.0, 1.0, "in [0, 1]")
        self.classifier, self.preprocess = classifier, preprocess
        self.augment = copy.deepcopy(augment)
        self.augment.strength = strength * augment.strength
        self.draws, self.max_images = check_count("draws", draws), check_count("max_images", max_images)
        self.seed = seed

    def forward(self, images: Tensor) -> Tensor:
        """Log probabilities ``(B, m)`` of images ``(B, C, H, W)``."""
        check_batch("images", images)
        numbers, shape = self._noise(len(images))
        noise = torch.tensor(numbers).view(shape).unbind() if shape else [None] * self.draws
        with torch.no_grad():
            drawn = [None, *(self.augment.draw_parameters(images, one) for one in noise)]
        at_once = max(1, self.max_images // max(1, len(images)))
        model, answers = Model(self.classifier, self.preprocess), []
        for start in range(0, len(drawn), at_once):
            views = [
                images if one is None else self.augment.warp(images, one) for one in drawn[start : start + at_once]
            ]
            logits = model.answer(torch.cat(views))
            answers.append(logits.log_softmax(-1).unflatten(0, (len(views), len(images))))
        return torch.cat(answers).logsumexp(0) - math.log(len(drawn))

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _noise(self, count: int) -> tuple[list[float], list[int]]:
        """The noise of the draws in plain numbers, and its shape: the same in each call, so in a graph a constant."""
        self.augment.generator = torch.Generator().manual_seed(self.seed)
        with _disable_current_modes(), torch._C._DisableFuncTorch():  # in torch.export and vmap nothing has a value
            noise = [one for one in (self.augment.noise(count) for _ in range(self.draws)) if one is not None]
            return (torch.stack(noise).flatten().tolist(), [len(noise), *noise[0].shape]) if noise else ([], [])

    def extra_repr(self) -> str:
        """What was set."""
        return f"draws={self.draws}, seed={self.seed}"
