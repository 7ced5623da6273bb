"""Which entries a layer changes, when its weights are moved too, and what it means when they fit no split."""

from __future__ import annotations

import torch

from nvpkit.checks.findings import Wrong
from nvpkit.checks.parts import generator, randn


def parts_of_split(case: dict) -> list[set]:
    """Return the sets of entries that one layer may change: the two parts, either way round in an odd dimension."""
    dim = case["dim"]
    if case["split"] == "even_odd":
        return [set(range(0, dim, 2)), set(range(1, dim, 2))]
    cuts = {dim // 2, (dim + 1) // 2}
    return [part for cut in cuts for part in (set(range(cut)), set(range(cut, dim)))]


def changed_entries(before: torch.Tensor, after: torch.Tensor) -> set:
    """Return the columns in which two tensors (B, D) differ."""
    return set(torch.nonzero((before - after).abs().amax(0) > 1e-9).flatten().tolist())


def fits_split(changed: set, case: dict, what: str) -> None:
    """Raise Wrong unless the changed entries are one part of the case's split."""
    if changed in parts_of_split(case):
        return
    other = {**case, "split": "half" if case["split"] == "even_odd" else "even_odd"}
    split = case["split"] or "half"
    if changed in parts_of_split(other):
        raise Wrong(f"Halves and even/odd are mixed up: with split={split!r} {what} changes the entries "
                    f"{sorted(changed)} of {case['dim']}, which belong to split={other['split'] or 'half'!r}.")
    if not changed:
        raise Wrong(f"With split={split!r} {what} changes nothing: is its net used?")
    raise Wrong(f"With split={split!r} {what} changes the entries {sorted(changed)} of {case['dim']}; expected one "
                "of the two parts of the split, and no other entry. Is a weight shared with another layer, or are "
                "entries moved to other places (halves joined where even and odd should be interleaved)?")


def in_place(z: torch.Tensor, x: torch.Tensor, case: dict) -> None:
    """Raise Wrong where one layer's kept entries come out in other places than they went in."""
    dim, at_home = case["dim"], _fitting(z, x)
    if case["split"] == "even_odd":
        for moved in (torch.cat([x[:, ::2], x[:, 1::2]], 1), torch.cat([x[:, 1::2], x[:, ::2]], 1)):
            if _fitting(z, moved) >= max(dim // 2, at_home + 1):
                raise Wrong("Halves and even/odd are mixed up: the even and the odd entries are joined as two halves. "
                            "Put each entry back in its own place (interleave).")
    for moved in (x.flip(1), x.roll(dim // 2, 1), x.roll((dim + 1) // 2, 1)):
        if _fitting(z, moved) >= max(dim // 2, at_home + 1):
            raise Wrong("The halves are swapped after the layer: entries come out in other places than they went in. "
                        "Leave each entry in its place and alternate the masks. (Whoever swaps must swap back first "
                        "in the inverse, before the layer is undone.)")


def _fitting(z: torch.Tensor, x: torch.Tensor) -> int:
    return int(((z - x).abs().amax(0) < 1e-9).sum())


def directions(parameters: list, seed: int) -> list[torch.Tensor]:
    """Return a random direction for each parameter, the same ones for the same seed."""
    gen = generator(seed + 7)
    return [randn(*parameter.shape, gen=gen, dtype=parameter.dtype) for parameter in parameters]


def move(parameters: list, seed: int, size: float = 1.0) -> None:
    """Move the parameters along their directions, in place."""
    with torch.no_grad():
        for parameter, direction in zip(parameters, directions(parameters, seed)):
            parameter.add_(size * direction)
