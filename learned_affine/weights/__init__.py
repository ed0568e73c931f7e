"""A policy as one safe file."""

from learned_affine.weights.container import WeightsError
from learned_affine.weights.save_load import describe, save

__all__ = ["WeightsError", "describe", "save"]
