"""Looking at what was recorded and learnt."""

from .figures import image_grid, plot_curves
from .graph import draw_graph

__all__ = ["draw_graph", "image_grid", "plot_curves"]
