"""Maximum likelihood: one loop for toys, mixtures and images."""

from nvpkit.training.history import History
from nvpkit.training.loop import fit

__all__ = ["History", "fit"]
