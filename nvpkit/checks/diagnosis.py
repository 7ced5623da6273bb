"""Names the mistake: compares a student's value with what each known mistake would give."""

from __future__ import annotations

import torch

from nvpkit.checks.values import error_of, tolerance

NO_MATCH = "It matches none of the mistakes that this check knows."


def likely(got: torch.Tensor, expected: torch.Tensor, mistakes: dict[str, torch.Tensor]) -> str:
    """Return the first mistake whose value `got` equals; NO_MATCH where none does.

    A mistake that would give the right value here cannot be told apart, and is left out.
    """
    limit = 10 * tolerance(got.dtype)
    if not torch.isfinite(got).all():
        return "It holds NaN or infinity: look for an overflow, a logarithm of 0 or a division by 0."
    for sentence, value in mistakes.items():
        if error_of(value, expected) > 10 * limit and error_of(got, value) <= limit:
            return sentence
    return NO_MATCH


def sample(values: torch.Tensor, n: int = 3) -> str:
    """Return the first few entries of a tensor as text."""
    flat = values.detach().reshape(-1)[:n].tolist()
    dots = ", ..." if values.numel() > n else ""
    return "[" + ", ".join(f"{value:.4g}" for value in flat) + dots + "]"


def additive_forward(x: torch.Tensor, mask: torch.Tensor, net) -> dict[str, torch.Tensor]:
    """Return what each known mistake of z = x + (1 - mask) net(mask x) gives."""
    others, at_kept = 1 - mask, net(mask * x)
    return {
        "It looks like minus where forward adds: forward is data to latent, z = x + ..., and the inverse subtracts.":
            x - others * at_kept,
        "It looks like the mask the wrong way round: 1 marks the entries that are kept, 0 those that change.":
            x + mask * net(others * x),
        "It looks like the net's output is not masked: the net emits all D values, and only the entries that change "
        "may receive one.": x + at_kept,
        "It looks like the net sees all of x: it may read the kept entries alone, or the inverse cannot repeat it.":
            x + others * net(x),
        "It looks as if neither the net's input nor its output is masked.": x + net(x),
        "It looks like the net's output replaces the changed entries: it must be added to them.":
            mask * x + others * at_kept,
        "It looks like x is missing: the net's output alone came back.": others * at_kept,
        "It looks like the kept entries are missing from the result.": others * (x + at_kept),
        "It looks like the kept entries are counted twice: mask x was added to the whole of x.":
            x + mask * x + others * at_kept,
        "It looks like the net reads the entries that change, and adds to them: it must read the kept ones.":
            x + others * net(others * x),
        "It looks like x itself came back: the shift is not applied.": x,
    }


def additive_inverse(y: torch.Tensor, mask: torch.Tensor, net) -> dict[str, torch.Tensor]:
    """Return what each known mistake of x = z - (1 - mask) net(mask z) gives at z = y."""
    others, at_kept = 1 - mask, net(mask * y)
    return {
        "It looks like the shift is added in both directions: the inverse must take away what forward added.":
            y + others * at_kept,
        "It looks like the mask the wrong way round in the inverse: 1 marks what is kept.":
            y - mask * net(others * y),
        "It looks like the net's output is not masked in the inverse.": y - at_kept,
        "It looks like the net sees all of z in the inverse: give it the kept entries alone.":
            y - others * net(y),
        "It looks as if neither the net's input nor its output is masked in the inverse.": y - net(y),
        "It looks like the whole result has the wrong sign: net - z in place of z - net.":
            mask * y + others * (at_kept - y),
        "It looks like z itself came back: nothing is undone.": y,
    }
