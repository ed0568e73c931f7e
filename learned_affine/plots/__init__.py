"""Pictures of a policy and of a fit, drawn by matplotlib (``pip install learned_affine[plot]``): each function returns
the figure and, given a ``path``, writes it.
"""

from learned_affine.plots.curves import plot_history, plot_parameters
from learned_affine.plots.images import plot_before_after, plot_policies
from learned_affine.plots.overview import plot_summary, plot_symmetries

__all__ = ["plot_before_after", "plot_history", "plot_parameters", "plot_policies", "plot_summary", "plot_symmetries"]
