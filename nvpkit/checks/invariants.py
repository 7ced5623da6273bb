"""Properties that every layer has, judged on values: each raises Wrong or returns a detail to print."""

from __future__ import annotations

import torch

from nvpkit.checks.diagnosis import likely, sample
from nvpkit.checks.findings import Wrong
from nvpkit.checks.values import Values, dtype_text, error_of, tolerance


def inputs_kept(values: Values, name: str, given: torch.Tensor, what: str) -> None:
    """The tensor that was handed over has its values, its requires_grad and its .grad as before."""
    after = values.tensor(f"{name}.kept", given.shape, given.dtype)
    if not torch.equal(after, given.detach()):
        raise Wrong(f"{what} was changed in place: the caller's tensor has other values after the call. Work on new "
                    "tensors (z = x + ...), or on a copy where you assign to a part of it.")
    if bool(values.number(f"{name}.requires_grad")) != given.requires_grad:
        raise Wrong(f"{what} has another requires_grad after the call. Leave the caller's tensor as it is.")
    if values.number(f"{name}.has_grad"):
        raise Wrong(f"{what} got a .grad: a backward() was called inside. The caller does that, not the layer.")


def same(got: torch.Tensor, expected: torch.Tensor, start: str, mistakes: dict | None = None) -> float:
    """Return the error of `got`; Wrong, with the likely mistake, where it exceeds the dtype's tolerance."""
    error = error_of(got, expected)
    if not error <= tolerance(got.dtype):
        raise Wrong(f"{start} Expected {sample(expected)}, got {sample(got)}. {likely(got, expected, mistakes or {})}")
    return error


def widen(errors: dict[torch.dtype, float], dtype: torch.dtype, error: float) -> None:
    """Keep the largest error of each dtype."""
    errors[dtype] = max(error, errors.get(dtype, 0.0))


def report(errors: dict[torch.dtype, float]) -> str:
    """Return `float64, largest error 2e-16` (or `exact`) for the errors of each dtype."""
    return "; ".join(f"{dtype_text(dtype)}, " + (f"largest error {error:.0e}" if error else "exact")
                     for dtype, error in errors.items())


def round_trip(cases: list[dict], values: Values) -> str:
    """inverse(forward(x)) = x and forward(inverse(z)) = z, for the points of each case."""
    errors = {}
    for case in cases:
        for name, given, text in (("back", case["x"], "inverse(forward(x)) is not x"),
                                  ("forth", case["y"], "forward(inverse(z)) is not z")):
            got = values.tensor(f"{case['name']}.{name}", given.shape, given.dtype)
            widen(errors, case["dtype"], same(got, given, f"{text}: one direction does not undo the other."))
    return report(errors)


def log_det_of(jacobian: torch.Tensor) -> torch.Tensor:
    """Return log|det| (B,) of Jacobians (B, D, D)."""
    return torch.linalg.slogdet(jacobian)[1]
