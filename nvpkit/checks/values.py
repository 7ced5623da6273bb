"""The judge's view of what a student's code returned: flat names, tensors, numbers and texts."""

from __future__ import annotations

import torch

LONGEST_TEXT = 800


class Absent(Exception):
    """A value that the judge needs did not arrive, or arrived in another form."""


def clean_text(text: str) -> str:
    """Return the text in printable characters, shortened: it may come from code that is not trusted."""
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " ..."


def shape_text(shape) -> str:
    """Return a shape as people write it: (4, 2), (4,), ()."""
    return str(tuple(int(n) for n in shape))


def dtype_text(dtype: torch.dtype) -> str:
    """Return float32 for torch.float32."""
    return str(dtype).removeprefix("torch.")


class Values:
    """Read-only view of a task's outputs; every access states the shape and dtype that it needs."""

    def __init__(self, outputs: dict):
        self.outputs = dict(outputs) if isinstance(outputs, dict) else {}

    def __contains__(self, name: str) -> bool:
        return name in self.outputs

    def error(self, part: str = "") -> str:
        """Return the text of the error that stopped this part, or nothing."""
        name = f"{part}/error" if part else "error"
        return clean_text(self.outputs[name]) if isinstance(self.outputs.get(name), str) else ""

    def tensor(self, name: str, shape=None, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return a tensor of exactly this shape and dtype, or raise Absent."""
        value = self.outputs.get(name)
        if not isinstance(value, torch.Tensor):
            raise Absent(f"The value {name!r} did not arrive.")
        if shape is not None and tuple(value.shape) != tuple(shape):
            raise Absent(f"The value {name!r} has shape {shape_text(value.shape)} in place of {shape_text(shape)}.")
        if dtype is not None and value.dtype != dtype:
            raise Absent(f"The value {name!r} has dtype {dtype_text(value.dtype)} in place of {dtype_text(dtype)}.")
        return value

    def number(self, name: str) -> float:
        """Return a number, or raise Absent."""
        value = self.outputs.get(name)
        if isinstance(value, torch.Tensor) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Absent(f"The number {name!r} did not arrive.")
        return float(value)

    def text(self, name: str) -> str:
        """Return a text, or raise Absent."""
        value = self.outputs.get(name)
        if not isinstance(value, str):
            raise Absent(f"The text {name!r} did not arrive.")
        return clean_text(value)


def error_of(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest |got - expected| / (1 + |expected|); infinite for other shapes and for NaN."""
    if tuple(got.shape) != tuple(expected.shape):
        return float("inf")
    if got.numel() == 0:
        return 0.0
    got, expected = got.detach().double(), expected.detach().double()
    gap = (got - expected).abs() / (1 + expected.abs())
    largest = gap.max().item()
    return largest if largest == largest else float("inf")


def tolerance(dtype: torch.dtype) -> float:
    """Return the largest relative error that a right answer may have in this dtype."""
    return 1e-6 if dtype == torch.float64 else 2e-4


def close(got: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype | None = None) -> bool:
    """Return whether two tensors agree within the tolerance of the dtype (that of `got` if none is named)."""
    return error_of(got, expected) <= tolerance(dtype or got.dtype)
