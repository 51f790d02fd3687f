"""Looking at what was recorded and learnt."""

from .figures import image_grid, plot_against, plot_curves
from .graph import draw_graph
from .summary import Layer, Summary, summary

__all__ = ["Layer", "Summary", "draw_graph", "image_grid", "plot_against", "plot_curves", "summary"]
