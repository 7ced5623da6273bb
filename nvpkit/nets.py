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
        return self.layers(x if context is None else torch.cat([x, context], dim=1))
