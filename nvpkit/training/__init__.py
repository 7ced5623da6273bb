"""Maximum likelihood: one loop for toys, mixtures and images."""

from nvpkit.training.history import History
from nvpkit.training.loop import fit
from nvpkit.training.precision import bfloat16_conditioners

__all__ = ["History", "bfloat16_conditioners", "fit"]
