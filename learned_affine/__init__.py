"""Learns, for each image, the range of affine warps that teaches a given classifier most."""

from learned_affine.config import FitConfig
from learned_affine.history import FitHistory
from learned_affine.parameters import AffineLimits, AffineParameters
from learned_affine.transform import LearnedAffineAugment

__version__ = "0.1.0"
__all__ = ["AffineLimits", "AffineParameters", "FitConfig", "FitHistory", "LearnedAffineAugment"]
