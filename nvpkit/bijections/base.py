"""The contract that every layer keeps, and the chain that composes layers."""

import torch
from torch import nn

from nvpkit.errors import InverseNotAvailable, ShapeError


class Bijection(nn.Module):
    """An invertible map between data x and latent z that knows its volume change.

    ``forward(x) -> (z, log_det)`` goes from data to latent, ``inverse(z) -> (x, log_det)`` comes back. ``log_det`` is
    log|det J| of the map that was just applied, one number for each sample: shape (B,). The two log-dets of one point
    sum to zero. Inputs are never changed in place; results keep dtype and device.
    """

    def forward(self, x, context=None):
        """Map data x (B, ...) to (z, log_det (B,))."""
        raise TypeError(f"{type(self).__name__} is a Bijection and must define forward(x) -> (z, log_det)")

    def inverse(self, z, context=None):
        """Map latent z (B, ...) to (x, log_det (B,)); raises InverseNotAvailable where there is no inverse."""
        raise InverseNotAvailable(f"{type(self).__name__} has no inverse: it can be computed from data to latent only")

    def initialise(self, x, context=None):
        """Set parameters from a batch of data where the layer has something to set; by default there is nothing."""

    def check_input(self, x):
        """Raise ValueError when x cannot be this layer's input. ``Flow`` calls it once for each batch, at its door."""

    def output_shape(self, shape):
        """The shape of one latent for data points of ``shape``: the same, unless a layer says otherwise."""
        return tuple(shape)


class Chain(Bijection):
    """Layers applied one after the other; log-dets add up (chain rule), the inverse runs in reverse order.

    >>> import torch
    >>> from nvpkit.bijections import Scaling
    >>> chain = Chain([Scaling(2), Scaling(2)])
    >>> z, log_det = chain(torch.ones(3, 2))
    >>> z.shape, log_det.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        if len(self.layers) == 0:
            raise ValueError("Chain needs at least one layer, got an empty list")

    def forward(self, x, context=None):
        log_det = 0.0
        for layer in self.layers:
            x, step = layer(x, context)
            log_det = log_det + step
        return x, log_det

    def inverse(self, z, context=None):
        log_det = 0.0
        for layer in reversed(self.layers):
            z, step = layer.inverse(z, context)
            log_det = log_det + step
        return z, log_det

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Initialise the layers in order, each with what the layers before it make of x."""
        for layer, is_last in zip(self.layers, [False] * (len(self.layers) - 1) + [True]):
            layer.initialise(x, context)
            x = x if is_last else apply_in_parts(layer, x, context)

    def check_input(self, x):
        self.layers[0].check_input(x)

    def output_shape(self, shape):
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return tuple(shape)


def check_count(name, n, least=1):
    """Raise ValueError unless n is an integer of at least ``least``; ``name`` stands in the message."""
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {n!r}")


def check_vector(x, dim, who):
    """Raise ShapeError unless x is (B, dim); ``who`` names the layer in the message. Shapes only: it costs nothing."""
    if x.ndim != 2 or x.shape[1] != dim:
        raise ShapeError(f"{who} expects shape (B, {dim}), got {tuple(x.shape)}")


def check_features(x, num_features, who):
    """Raise ShapeError unless x is (B, D) or (B, C, H, W) with ``num_features`` dimensions or channels."""
    if x.ndim not in (2, 4) or x.shape[1] != num_features:
        expected = f"(B, {num_features}) or (B, {num_features}, H, W)"
        raise ShapeError(f"{who} expects shape {expected}, got {tuple(x.shape)}")


def check_image(x, shape, who):
    """Raise ShapeError unless x is (B, *shape); a side given as None may have any length."""
    if x.ndim != len(shape) + 1 or any(side not in (None, n) for side, n in zip(shape, x.shape[1:])):
        expected = ", ".join(["B", *(name if side is None else str(side) for name, side in zip("CHW", shape))])
        raise ShapeError(f"{who} expects shape ({expected}), got {tuple(x.shape)}")


def apply_in_parts(layer, x, context=None, rows=1000):
    """Return layer(x)[0] in eval mode, some ``rows`` samples at a time: ten thousand images at once need gigabytes."""
    modes = {module: module.training for module in layer.modules()}
    n_parts = -(-len(x) // rows)
    contexts = [None] * n_parts if context is None else context.tensor_split(n_parts)
    try:
        layer.eval()
        return torch.cat([layer(*part)[0] for part in zip(x.tensor_split(n_parts), contexts)])
    finally:
        for module, training in modes.items():
            module.training = training
