"""A warning points at the line of the user that led to it."""

import warnings

from learned_affine import FitConfig, LearnedAffineAugment
from tests.subjects import Halves, blobs


def warned(give) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        give()
    return found


def line_of(function) -> int:
    """The only line of a lambda."""
    return function.__code__.co_firstlineno


def test_a_warning_points_at_the_line_outside_the_package():
    images, labels = blobs(8)
    options = {"config": FitConfig(rounds=1, images=10), "progress": False}
    for fit in (LearnedAffineAugment.fit, LearnedAffineAugment().fit):
        call = lambda fit=fit: fit(Halves(), [(images, labels)], **options)  # noqa: E731
        found = [one for one in warned(call) if "the target is a guess" in str(one.message)]
        assert [(one.filename, one.lineno) for one in found] == [(__file__, line_of(call))]
