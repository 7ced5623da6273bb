"""What a trained flow is good for: paths between images, hidden pixels, classes, and inputs that do not belong."""

from nvpkit.applications.anomaly import (
    complexity_score,
    compressed_size,
    latent_norm,
    likelihood_ratio,
    likelihood_score,
    typicality,
    typicality_threshold,
)
from nvpkit.applications.conditional import class_log_posterior, classify, one_hot, sample_classes
from nvpkit.applications.continuous import continuous
from nvpkit.applications.detection import (
    auroc,
    auroc_and_error,
    detect,
    precision_recall,
    roc_curve,
    threshold_for,
)
from nvpkit.applications.inpainting import inpaint, inpaint_nice, known_pixels
from nvpkit.applications.interpolation import four_point_manifold, interpolate, latent_manifold, lerp, slerp

__all__ = [
    "auroc",
    "auroc_and_error",
    "class_log_posterior",
    "classify",
    "complexity_score",
    "compressed_size",
    "continuous",
    "detect",
    "four_point_manifold",
    "inpaint",
    "inpaint_nice",
    "interpolate",
    "known_pixels",
    "latent_manifold",
    "latent_norm",
    "lerp",
    "likelihood_ratio",
    "likelihood_score",
    "one_hot",
    "precision_recall",
    "roc_curve",
    "sample_classes",
    "slerp",
    "threshold_for",
    "typicality",
    "typicality_threshold",
]
