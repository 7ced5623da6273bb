"""How a metric looks at a flow: in eval mode, in chunks, on the flow's device."""

import contextlib
import math

import torch


@contextlib.contextmanager
def evaluating(module):
    """Put a module into eval mode for a while; every part returns to the mode that it was in.

    >>> layer = torch.nn.Dropout()
    >>> with evaluating(layer):
    ...     layer.training
    False
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def floats_of(module):
    """Return a float tensor that has the module's dtype and device."""
    tensors = (t for group in (module.parameters(), module.buffers()) for t in group)
    return next((t for t in tensors if t.is_floating_point()), torch.empty(0))


def mean_and_error(values):
    """Return (mean, standard error) of independent values (n,), as floats; n of at least 2."""
    values = values.double().cpu()
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()
