"""Learns from a classifier which images may be flipped, and how far each may be rotated, scaled, sheared, shifted."""

from learned_affine._version import __version__
from learned_affine.augment import LearnedAffineAugment
from learned_affine.config import FitConfig
from learned_affine.fitting.history import FitHistory
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.pretrained import LearnedAffineAugment_Weights
from learned_affine.weights.locate import list_weights

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
