"""Pictures of a policy and of a fit, drawn by matplotlib (``pip install learned_affine[plot]``): each function returns
the figure and, given a ``path``, writes it.
"""

from learned_affine.plots.curves import plot_history
from learned_affine.plots.images import caption_lines, plot_before_after, plot_fan, plot_policies, plot_quiver
from learned_affine.plots.positions import symmetries
from learned_affine.plots.statistics import plot_entropy, plot_parameters

__all__ = [
    "caption_lines",
    "plot_before_after",
    "plot_entropy",
    "plot_fan",
    "plot_history",
    "plot_parameters",
    "plot_policies",
    "plot_quiver",
    "symmetries",
]
