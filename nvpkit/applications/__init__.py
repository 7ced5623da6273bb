"""What a trained flow is good for: paths between images, hidden pixels, classes, and inputs that do not belong."""

from nvpkit.applications.continuous import continuous
from nvpkit.applications.inpainting import inpaint, inpaint_nice, known_pixels
from nvpkit.applications.interpolation import four_point_manifold, interpolate, latent_manifold, lerp, slerp

__all__ = [
    "continuous",
    "four_point_manifold",
    "inpaint",
    "inpaint_nice",
    "interpolate",
    "known_pixels",
    "latent_manifold",
    "lerp",
    "slerp",
]
