"""Every picture of the book, from plain tensors and functions; each takes ``ax`` where it can and returns the axes.

The colours are those of Okabe and Ito and matplotlib's viridis, which colour-blind readers can tell apart. Figures are
opaque white, which reads on dark pages as well.
"""

from nvpkit.viz.animation import Animation, animate, animate_images, animate_movement
from nvpkit.viz.canvas import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILLION
from nvpkit.viz.images import image_grid, interpolation_strip
from nvpkit.viz.latent import latents, scale_spectrum
from nvpkit.viz.layers import layer_states, movement
from nvpkit.viz.plane import density, grid_lines, samples, warped_grid
from nvpkit.viz.scores import roc_curve, score_histogram
from nvpkit.viz.training import training_curve

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "SKY",
    "VERMILLION",
    "Animation",
    "animate",
    "animate_images",
    "animate_movement",
    "density",
    "grid_lines",
    "image_grid",
    "interpolation_strip",
    "latents",
    "layer_states",
    "movement",
    "roc_curve",
    "samples",
    "scale_spectrum",
    "score_histogram",
    "training_curve",
    "warped_grid",
]
