"""Learns, for each image, the range of affine warps that teaches a given classifier most."""

from learned_affine._version import __version__
from learned_affine.config import FitConfig
from learned_affine.history import FitHistory
from learned_affine.parameters import AffineLimits, AffineParameters
from learned_affine.pretrained import LearnedAffineAugment_Weights, list_weights
from learned_affine.transform import LearnedAffineAugment

__all__ = [
    "AffineLimits",
    "AffineParameters",
    "FitConfig",
    "FitHistory",
    "LearnedAffineAugment",
    "LearnedAffineAugment_Weights",
    "__version__",
    "list_weights",
]
