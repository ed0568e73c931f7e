"""The default with one of its dials at another value, or with other limits."""

from functools import partial

from benchmarks.accuracy.arms import ANY_ANGLE, WIDE
from benchmarks.accuracy.fitted_arms import fitted
from learned_affine import FitConfig

DIALS = {
    "learned wide, entropy term x 10": partial(fitted, limits=WIDE, config=FitConfig(entropy_weight=10.0)),
    "learned wide, no entropy term": partial(fitted, limits=WIDE, config=FitConfig(entropy_weight=0.0)),
    "learned wide, 120 steps": partial(fitted, limits=WIDE, config=FitConfig(steps=120)),
    "learned, any angle": partial(fitted, limits=ANY_ANGLE),
    "learned, entropy term x 10": partial(fitted, config=FitConfig(entropy_weight=10.0)),
    "learned, dual rate x 0.3": partial(fitted, config=FitConfig(dual_rate=0.03)),
    "learned, 30 steps": partial(fitted, config=FitConfig(steps=30)),
    "learned, 120 steps": partial(fitted, config=FitConfig(steps=120)),
    "learned, thumbnail 8": partial(fitted, size=8),
    "learned, width 256": partial(fitted, width=256),
    "learned, p .25": partial(fitted, p=0.25),
    "learned, p .75": partial(fitted, p=0.75),
}
