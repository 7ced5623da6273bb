"""Builders: each composes a Flow from layers and invents none."""

# Bound eagerly: the module nice.py and the builder nice share a name, and the builder is the one that is meant.
from nvpkit.models.nice import nice

__all__ = ["nice"]
