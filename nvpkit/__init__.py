"""nvpkit: normalizing flows to read, to teach with and to grade against."""

import importlib

from nvpkit.errors import (
    CheckFailed,
    CheckpointError,
    CourseError,
    DatasetNotFound,
    InverseNotAvailable,
    NvpkitError,
    ShapeError,
)

__version__ = "0.1.0"

_ROOMS = {
    "applications",
    "bijections",
    "checks",
    "data",
    "distributions",
    "metrics",
    "models",
    "nets",
    "training",
    "viz",
}
_NAMES = {"Bijection": "nvpkit.bijections", "Flow": "nvpkit.flow"}

__all__ = [
    "Bijection",
    "CheckFailed",
    "CheckpointError",
    "CourseError",
    "DatasetNotFound",
    "Flow",
    "InverseNotAvailable",
    "NvpkitError",
    "ShapeError",
]


def __getattr__(name):
    # Rooms load on first use: `nvpkit course --help` need not wait for torch.
    if name in _ROOMS:
        return importlib.import_module(f"nvpkit.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'nvpkit' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS, *_NAMES])
