"""Conditioners: the free-form networks inside couplings. They need no inverse."""

import torch
from torch import nn

from nvpkit.errors import ShapeError

# By name, so that a configuration can be written down. In place saves memory: what a linear layer gives is its own.
ACTIVATIONS = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def has_hooks(module):
    """Say whether someone hung hooks on a module: then it must be called, not its forward alone.

    >>> has_hooks(nn.Linear(1, 1))
    False
    """
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


class MLP(nn.Module):
    """A fully connected net (B, in_features) -> (B, out_features) with a linear last layer.

    ``hidden`` is a width or a tuple of widths; ``activation`` a name of ``ACTIVATIONS`` or an nn.Module class. With
    ``context_dim`` > 0 the net is called ``net(x, context)`` and sees both; context is (B, context_dim).
    ``zero_last=True`` starts the last layer at zero, so that a coupling starts as the identity.

    >>> import torch
    >>> MLP(2, 3, hidden=(16, 16))(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features,
        out_features,
        hidden=(64, 64),
        activation="relu",
        context_dim=0,
        zero_last=False,
        dropout=0.0,
    ):
        super().__init__()
        widths = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        if not all(isinstance(width, int) and width > 0 for width in widths):
            raise ValueError(f"hidden must be a positive width or a tuple of them, got {hidden!r}")
        if isinstance(context_dim, bool) or not isinstance(context_dim, int) or context_dim < 0:
            raise ValueError(f"context_dim must be an integer of at least 0, got {context_dim!r}")
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        activate = ACTIVATIONS.get(activation, activation)
        self.context_dim = context_dim
        layers, before = [], in_features + context_dim
        for width in widths:
            layers += [nn.Linear(before, width), activate()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, out_features))
        if zero_last:
            nn.init.zeros_(self.layers[-1].weight)
            nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x, context=None):
        if (context is None) != (self.context_dim == 0):
            given = "none" if context is None else f"one of shape {tuple(context.shape)}"
            raise ValueError(f"this MLP was built with context_dim={self.context_dim}, the context given is {given}")
        if context is not None and context.shape != (len(x), self.context_dim):
            raise ShapeError(
                f"this MLP expects a context of shape ({len(x)}, {self.context_dim}), got {tuple(context.shape)}"
            )
        x = x if context is None else torch.cat([x, context], dim=1)
        # The way through nn.Module.__call__ costs a small net a thirtieth of its training step. Compiled it costs
        # nothing, and a question about hooks would be asked again at every call.
        compiling = torch.compiler.is_compiling()
        for layer in self.layers:
            x = layer(x) if compiling or has_hooks(layer) else layer.forward(x)
        return x


class ConvResNet(nn.Module):
    """A residual convolutional net (B, in_channels, H, W) -> (B, out_channels, H, W): Real NVP, section 4.1.

    A 3x3 convolution to ``width`` channels, ``n_blocks`` residual blocks of two 3x3 convolutions after ReLU, and a 1x1
    convolution at the end. ``kernels`` are the sizes of a block's convolutions, odd numbers: (3, 1) is half the work.
    With ``skips`` each stage also reaches the end directly, through a 1x1 convolution of its own. ``norm`` is None or
    "batch" (nn.BatchNorm2d before each ReLU); ``weight_norm=True`` learns length and direction of each filter apart.
    With ``context_dim`` > 0 the net is called ``net(x, context)``, where context is (B, context_dim), or
    (B, context_dim, H, W) with a value for each pixel. ``zero_last=True`` starts the last layer at
    zero, so that a coupling starts as the identity.

    >>> import torch
    >>> ConvResNet(3, 6, width=8, n_blocks=2)(torch.zeros(5, 3, 4, 4)).shape
    torch.Size([5, 6, 4, 4])
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        width=32,
        n_blocks=4,
        weight_norm=False,
        norm=None,
        context_dim=0,
        zero_last=False,
        skips=True,
        kernels=(3, 3),
    ):
        super().__init__()
        if norm not in (None, "batch"):
            raise ValueError(f"norm must be None or 'batch', got {norm!r}")
        sizes = {"in_channels": (in_channels, 1), "out_channels": (out_channels, 1), "width": (width, 1)}
        sizes |= {"n_blocks": (n_blocks, 0), "context_dim": (context_dim, 0)}
        for name, (n, least) in sizes.items():
            if isinstance(n, bool) or not isinstance(n, int) or n < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {n!r}")

        if not kernels or not all(isinstance(size, int) and size > 0 and size % 2 for size in kernels):
            raise ValueError(f"kernels must be odd positive sizes, at least one, got {kernels!r}")

        def convolution(before, after, size, zero=False):
            layer = nn.Conv2d(before, after, size, padding=size // 2)
            if weight_norm:
                layer = nn.utils.parametrizations.weight_norm(layer)
            if zero:
                # A filter is length times direction: the length is zero, a direction of zero would have no gradient.
                nn.init.zeros_(layer.parametrizations.weight.original0 if weight_norm else layer.weight)
                nn.init.zeros_(layer.bias)
            return layer

        def activated(size):
            # In place only after a normalisation: the stage itself is needed again.
            before = [nn.BatchNorm2d(width), nn.ReLU(inplace=True)] if norm == "batch" else [nn.ReLU()]
            return [*before, convolution(width, width, size)]

        self.in_channels, self.context_dim = in_channels, context_dim
        self.first = convolution(in_channels, width, 3)
        self.context = nn.Linear(context_dim, width) if context_dim else None
        blocks = [[layer for size in kernels for layer in activated(size)] for _ in range(n_blocks)]
        self.blocks = nn.ModuleList(nn.Sequential(*block) for block in blocks)
        self.skips = nn.ModuleList(convolution(width, width, 1) for _ in range(n_blocks + 1)) if skips else None
        last_norm = [nn.BatchNorm2d(width)] if norm == "batch" else []
        self.last = nn.Sequential(*last_norm, nn.ReLU(), convolution(width, out_channels, 1, zero=zero_last))

    def forward(self, x, context=None):
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(f"this ConvResNet expects shape (B, {self.in_channels}, H, W), got {tuple(x.shape)}")
        h = self.first(x)
        if context is not None or self.context is not None:
            h = h + self._seen(context, x)
        to_end = self.skips[0](h) if self.skips is not None else None
        for i, block in enumerate(self.blocks, start=1):
            h = h + block(h)
            if self.skips is not None:
                to_end = to_end + self.skips[i](h)
        return self.last(h if to_end is None else to_end)

    def _seen(self, context, x):
        """What the context adds to each pixel."""
        if context is None or self.context is None:
            given = "none" if context is None else f"one of shape {tuple(context.shape)}"
            raise ValueError(f"this ConvResNet was built with context_dim={self.context_dim}, the context is {given}")
        if context.shape not in ((len(x), self.context_dim), (len(x), self.context_dim, *x.shape[2:])):
            raise ShapeError(
                f"this ConvResNet expects a context of shape ({len(x)}, {self.context_dim}), with or without the "
                f"pixels {tuple(x.shape[2:])}, got {tuple(context.shape)}"
            )
        if context.ndim == 2:
            return self.context(context)[:, :, None, None]
        return nn.functional.conv2d(context, self.context.weight[:, :, None, None], self.context.bias)
