"""What a policy does to images and to a model, in numbers and warnings."""

from learned_affine.diagnostics.checks import FitWarning
from learned_affine.diagnostics.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "FitWarning", "evaluate"]
