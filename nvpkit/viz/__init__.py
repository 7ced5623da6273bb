"""Every picture of the book, from plain tensors and functions; each takes ``ax`` where it can and returns the axes.

The colours are those of Okabe and Ito and matplotlib's viridis, which colour-blind readers can tell apart. Figures are
opaque white, which reads on dark pages as well.
"""

from nvpkit.viz.canvas import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILLION
from nvpkit.viz.images import image_grid, interpolation_strip
from nvpkit.viz.plane import density, grid_lines, samples, warped_grid
from nvpkit.viz.training import training_curve

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "SKY",
    "VERMILLION",
    "density",
    "grid_lines",
    "image_grid",
    "interpolation_strip",
    "samples",
    "training_curve",
    "warped_grid",
]
