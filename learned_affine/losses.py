"""Each term of the objectives as a pure function: tensors in, tensors out, in bits or nats as its name says.

Source: Cho, Kim, Yoon (KAIST), "Automatic data augmentation from an active-learning viewpoint for image
classification", equations of section 3, unless another is named.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def shannon_entropy_bits(logits: Tensor) -> Tensor:
    """Entropy of the classifier's output, ``H = -sum_i p_i log2 p_i``, in bits within ``[0, log2 m]``.

    ``(B, m)`` logits, minus infinity for a class that is masked, to ``(B,)``.
    """
    log_p = F.log_softmax(logits, dim=-1).clamp_min(torch.finfo(logits.dtype).min)  # 0 times infinity would be NaN
    return -(log_p.exp() * log_p).sum(-1) / math.log(2)


def relative_entropy(logits: Tensor) -> Tensor:
    """Entropy as a share of its maximum, ``H / log2 m``: ``(B,)`` within [0, 1], whatever the number of classes."""
    return shannon_entropy_bits(logits) / math.log2(logits.shape[-1])


def max_entropy_gap_nats(logits: Tensor, sign: str = "printed") -> Tensor:
    """The paper's maximum-entropy loss on the gap ``log2 m - H``, natural logarithm.

    Args:
        logits: ``(B, m)``, to ``(B,)``. The gap is kept above 1e-6, so that the loss stays finite at equal logits.
        sign: ``"printed"``: ``-log(gap)``, whose minimum is the *lowest* entropy; ``"corrected"``: ``+log(gap)``,
            which rewards a high entropy but has no lower bound.
    """
    gap = (math.log2(logits.shape[-1]) - shannon_entropy_bits(logits)).clamp_min(1e-6)
    return gap.log() if sign == "corrected" else -gap.log()


def cross_entropy_nats(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each image, ``-log p_y``: ``(B, m)`` and ``(B,)`` labels to ``(B,)`` in nats."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


def gaussian_kl_nats(mean: Tensor, width: Tensor, prior_width: float) -> Tensor:
    """Kullback-Leibler divergence ``KL(N(mean, diag(width^2)) || N(0, prior_width^2 I))``.

    The squashing by tanh is the same on both sides, so this is also the divergence of the two policies.
    ``mean`` and ``width``, the standard deviations, are ``(B, d)``; returns ``(B,)`` in nats.
    """
    ratio = (width / prior_width).square()
    return 0.5 * (ratio + (mean / prior_width).square() - 1 - ratio.log()).sum(-1)


def categorical_kl_nats(chances: Tensor, count: int) -> Tensor:
    """Kullback-Leibler divergence from ``count`` equally likely outcomes, ``(B,)`` in nats within ``[0, log count]``.

    ``chances`` are ``(B, n)``, each row adds up to 1; 0 for the ``n - count`` that cannot be.
    """
    return torch.special.xlogy(chances, chances).sum(-1) + math.log(count)


def discriminator_nats(original_scores: Tensor, augmented_scores: Tensor) -> Tensor:
    """What the discriminator minimises, ``-[log D(I) + log(1 - D(I'))]`` with ``D = sigmoid(score)``.

    Scores of any shape; returns the mean, 2 ln 2 = 1.386 where it is at chance.
    """
    return F.softplus(-original_scores).mean() + F.softplus(augmented_scores).mean()


def adversarial_nats(augmented_scores: Tensor, saturating: bool = False) -> Tensor:
    """What the augmenter minimises against the discriminator, one value a score.

    Args:
        augmented_scores: the discriminator's scores of augmented images.
        saturating: the paper's ``log(1 - D(I'))``; else ``-log D(I')``, whose gradient does not vanish where the
            discriminator is sure (Goodfellow et al. 2014, section 3).
    """
    return -F.softplus(augmented_scores) if saturating else F.softplus(-augmented_scores)
