"""bfloat16 where it may be: inside the conditioners. The maps and their log-dets stay as they are."""

from contextlib import contextmanager

import torch

from nvpkit.bijections import Bijection


@contextmanager
def bfloat16_conditioners(flow, only_in_training=False):
    """Run every conditioner (``net`` of a bijection) in bfloat16 for a while; what it emits has its input's dtype.

    s and t then carry three digits, so forward and inverse agree to about 4e-3 instead of 1e-6: train with it, but
    sample and evaluate without. With ``only_in_training`` eval mode runs in full precision throughout.

    >>> from nvpkit.bijections import AdditiveCoupling, half_mask
    >>> coupling = AdditiveCoupling(half_mask(2, 0), torch.nn.Linear(1, 1))
    >>> with bfloat16_conditioners(coupling):
    ...     coupling(torch.randn(3, 2))[0].dtype
    torch.float32
    """
    nets = {id(net): net for layer in flow.modules() if (net := conditioner(layer)) is not None}.values()
    for net in nets:
        net.forward = _in_bfloat16(net, net.forward, only_in_training)
    try:
        yield
    finally:
        for net in nets:
            del net.forward


def conditioner(layer):
    """Return the conditioner of a coupling, None for anything else.

    >>> conditioner(torch.nn.Linear(1, 1)) is None
    True
    """
    net = getattr(layer, "net", None) if isinstance(layer, Bijection) else None
    return net if isinstance(net, torch.nn.Module) else None


def _in_bfloat16(net, forward, only_in_training):
    def run(x, *rest):
        if only_in_training and not net.training:
            return forward(x, *rest)
        # The cache of cast weights is off: a captured graph must cast them anew at each replay.
        with torch.autocast(x.device.type, dtype=torch.bfloat16, cache_enabled=False):
            return forward(x, *rest).to(x.dtype)

    return run
