"""NICE (Dinh, Krueger, Bengio 2014): additive couplings, then a diagonal scaling."""

from nvpkit.bijections import AdditiveCoupling, CouplingChain, Dequantize, Scaling, alternating_mask, half_mask
from nvpkit.distributions import standard_logistic, standard_normal
from nvpkit.flow import Flow
from nvpkit.nets import MLP

BASES = {"logistic": standard_logistic, "normal": standard_normal}
MASKS = {"half": half_mask, "even_odd": alternating_mask}


def nice(dim, n_layers=4, hidden=(64, 64), base="logistic", levels=None, split="even_odd", dropout=0.0):
    """Build a NICE flow on vectors (B, dim): couplings with alternating masks, the scaling last (NICE, section 5).

    ``hidden`` is the width, or a tuple of widths, of each coupling's ReLU net. ``base`` is "logistic" or "normal",
    ``split`` "even_odd" (the paper's) or "half". With ``levels`` the flow starts with ``Dequantize(levels)``: integers
    0..levels-1 go in and log_prob is their log-mass. The last layer of every net starts at zero, so the untrained flow
    is the identity. ``flow.config`` holds the settings. Raises ValueError for a dim below 2: nothing is left to
    condition on.

    >>> import torch
    >>> flow = nice(2)
    >>> flow.log_prob(torch.zeros(3, 2)).shape, flow.event_shape
    (torch.Size([3]), (2,))
    """
    settings = {**locals(), "hidden": hidden if isinstance(hidden, int) else list(hidden)}
    check_count("dim", dim, 2)
    check_count("n_layers", n_layers, 1)
    if base not in BASES:
        raise ValueError(f"base must be one of {', '.join(BASES)}, got {base!r}")
    if split not in MASKS:
        raise ValueError(f"split must be one of {', '.join(MASKS)}, got {split!r}")
    layers = [] if levels is None else [Dequantize(levels)]
    for i in range(n_layers):
        mask = MASKS[split](dim, i % 2)
        kept = int(mask.sum())
        layers.append(AdditiveCoupling(mask, MLP(kept, dim - kept, hidden, zero_last=True, dropout=dropout)))
    flow = Flow(CouplingChain([*layers, Scaling(dim)]), BASES[base](dim))
    flow.config = {"model": "nice", "settings": settings}
    return flow


def check_count(name, n, least):
    """Raise ValueError unless n is an integer of at least ``least``; ``name`` stands in the message."""
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {n!r}")
