"""Pictures of a policy and of a fit, drawn by matplotlib (``pip install learned_affine[plot]``): each function returns
the figure and, given a ``path``, writes it.
"""

from learned_affine.plots.curves import plot_history
from learned_affine.plots.images import (
    caption_lines,
    plot_before_after,
    plot_by_mirror_chance,
    plot_fan,
    plot_policies,
    plot_quiver,
    plot_ranges,
)
from learned_affine.plots.statistics import plot_entropy, plot_mirror_chance, plot_parameters

__all__ = [
    "caption_lines",
    "plot_before_after",
    "plot_by_mirror_chance",
    "plot_entropy",
    "plot_fan",
    "plot_history",
    "plot_mirror_chance",
    "plot_parameters",
    "plot_policies",
    "plot_quiver",
    "plot_ranges",
]
