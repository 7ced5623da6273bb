"""Real NVP on vectors (Dinh, Sohl-Dickstein, Bengio 2016): affine couplings with alternating masks."""

from nvpkit.bijections import ActNorm, AffineCoupling, BatchNorm, CouplingChain, Dequantize, Logit
from nvpkit.flow import Flow
from nvpkit.models.nice import BASES, MASKS, check_count
from nvpkit.nets import ACTIVATIONS, MLP

NORMS = {"actnorm": ActNorm, "batchnorm": BatchNorm}


def real_nvp(
    dim,
    n_layers=24,
    hidden=(64,),
    base="normal",
    context_dim=0,
    norm=None,
    split="half",
    max_log_scale=1.0,
    activation="relu",
    dropout=0.0,
    levels=None,
    preprocess=True,
    alpha=0.05,
    standardise=True,
):
    """Build a Real NVP on vectors (B, dim): ``n_layers`` affine couplings whose masks alternate.

    Many couplings with small nets and bounded scales fit sharp densities on the plane better than few with large nets,
    at equal cost. ``hidden`` is the width, or a tuple of widths, of each coupling's net, ``activation`` the name of its
    nonlinearity.
    ``base`` is "normal" or "logistic", ``split`` "half" or "even_odd", ``norm`` what stands between couplings:
    "actnorm", "batchnorm" or None. ``max_log_scale`` bounds the log-scales; None learns one gain for each coupling.
    With ``context_dim`` > 0 the flow is conditional: ``log_prob(x, context)`` with a context (B, context_dim).

    ``standardise`` puts an ActNorm first, which ``flow.initialise(x)``, ``fit`` or the first batch in training sets, so
    that the couplings see data of zero mean and unit variance. With ``levels`` integers 0..levels-1 go in, dequantised,
    then, unless ``preprocess`` is False, through ``Logit(alpha)`` (Real NVP, section 4.1); log_prob is their log-mass.
    The last layer of every net starts at zero. ``flow.config`` holds the settings. Raises ValueError for settings that
    make no flow.

    >>> import torch
    >>> flow = real_nvp(2).eval()
    >>> flow.log_prob(torch.zeros(3, 2)).shape, flow.event_shape
    (torch.Size([3]), (2,))
    """
    settings = {**locals(), "hidden": hidden if isinstance(hidden, int) else list(hidden)}
    check_count("dim", dim, 2)
    check_count("n_layers", n_layers, 1)
    allowed = {"base": BASES, "split": MASKS, "norm": (*NORMS, None), "activation": ACTIVATIONS}
    for name, choices in allowed.items():
        value = settings[name]
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
    layers = []
    if levels is not None:
        layers += [Dequantize(levels)] + ([Logit(alpha)] if preprocess else [])
    if standardise:
        layers.append(ActNorm(dim))
    for i in range(n_layers):
        mask = MASKS[split](dim, i % 2)
        kept = int(mask.sum())
        net = MLP(kept, 2 * (dim - kept), hidden, activation, context_dim, zero_last=True, dropout=dropout)
        if norm is not None and i > 0:
            layers.append(NORMS[norm](dim))
        layers.append(AffineCoupling(mask, net, max_log_scale))
    flow = Flow(CouplingChain(layers), BASES[base](dim))
    flow.config = {"model": "real_nvp", "settings": settings}
    return flow
