"""Numbers that say how good a flow is, and whether it is a flow at all."""

from nvpkit.distributions import draw
from nvpkit.metrics.evaluation import evaluating
from nvpkit.metrics.exactness import continuous_part, grid_integral, log_det_error, round_trip_error
from nvpkit.metrics.likelihood import bits_per_dim, importance_weighted_log_prob, kl_to, negative_log_likelihood
from nvpkit.metrics.samples import energy_distance, grid_sample

__all__ = [
    "bits_per_dim",
    "continuous_part",
    "draw",
    "energy_distance",
    "evaluating",
    "grid_integral",
    "grid_sample",
    "importance_weighted_log_prob",
    "kl_to",
    "log_det_error",
    "negative_log_likelihood",
    "round_trip_error",
]
