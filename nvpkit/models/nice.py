"""NICE (Dinh, Krueger, Bengio 2014): additive couplings, then a diagonal scaling."""

from nvpkit.bijections import AdditiveCoupling, Chain, Dequantize, Scaling, alternating_mask, half_mask
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
    is the identity. Raises ValueError for a dim below 2, where nothing is left to condition on.

    >>> import torch
    >>> flow = nice(2)
    >>> flow.log_prob(torch.zeros(3, 2)).shape, flow.event_shape
    (torch.Size([3]), (2,))
    """
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 2:
        raise ValueError(f"NICE needs an integer dim of at least 2 to split, got {dim!r}")
    if isinstance(n_layers, bool) or not isinstance(n_layers, int) or n_layers < 1:
        raise ValueError(f"n_layers must be an integer of at least 1, got {n_layers!r}")
    if base not in BASES:
        raise ValueError(f"base must be one of {', '.join(BASES)}, got {base!r}")
    if split not in MASKS:
        raise ValueError(f"split must be one of {', '.join(MASKS)}, got {split!r}")
    layers = [] if levels is None else [Dequantize(levels)]
    for i in range(n_layers):
        mask = MASKS[split](dim, i % 2)
        kept = int(mask.sum())
        layers.append(AdditiveCoupling(mask, MLP(kept, dim - kept, hidden, zero_last=True, dropout=dropout)))
    return Flow(Chain([*layers, Scaling(dim)]), BASES[base](dim))
