"""What a policy does to images and to a model, in numbers and warnings."""

from learned_affine.diagnostics.checks import (
    DeadNetworkWarning,
    DestroyedImagesWarning,
    FitWarning,
    IdentityCollapseWarning,
    LimitsBindWarning,
    LittleToGainWarning,
    PixelRangeWarning,
    ResamplingWarning,
    SetupWarning,
    StoppedFitWarning,
    SymmetryWarning,
    TargetWarning,
)
from learned_affine.diagnostics.evaluation import Evaluation, evaluate

__all__ = [
    "DeadNetworkWarning",
    "DestroyedImagesWarning",
    "Evaluation",
    "FitWarning",
    "IdentityCollapseWarning",
    "LimitsBindWarning",
    "LittleToGainWarning",
    "PixelRangeWarning",
    "ResamplingWarning",
    "SetupWarning",
    "StoppedFitWarning",
    "SymmetryWarning",
    "TargetWarning",
    "evaluate",
]
