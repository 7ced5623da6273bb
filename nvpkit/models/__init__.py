"""Builders: each composes a Flow from layers and invents none."""

# Bound eagerly: the module nice.py and the builder nice share a name, and the builder is the one that is meant.
from nvpkit.models.image_real_nvp import image_real_nvp
from nvpkit.models.nice import nice
from nvpkit.models.real_nvp import real_nvp

__all__ = ["image_real_nvp", "nice", "real_nvp"]
