"""Every layer as a named case: test_contract.py holds each of them against the same theorems."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nvpkit.bijections import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNorm,
    Bijection,
    Chain,
    CouplingChain,
    Equalize,
    Flip,
    Logit,
    MaskedAdditiveCoupling,
    MultiScale,
    Permutation,
    Planar,
    Scaling,
    Split,
    Squeeze,
    alternating_mask,
    channel_mask,
    checkerboard_mask,
    half_mask,
)
from nvpkit.nets import MLP


@dataclass(frozen=True)
class Case:
    """One layer at one size.

    ``make()`` builds the layer, ``shape`` is that of one data point, ``context`` that of one context. ``draw(n)`` gives
    n data points in float64 where standard normal ones will not do; ``prepare(layer)`` runs after the parameters were
    randomised. ``tolerance`` is for round trips in float64 and, with a factor of 1e8, in float32.
    """

    name: str
    make: Callable[[], Bijection]
    shape: tuple
    context: tuple | None = None
    draw: Callable | None = None
    prepare: Callable | None = None
    tolerance: float = 1e-12
    free: tuple = ()  # axes of the event that may have any length
    moves: bool = True  # a random layer is not the identity

    def data(self, n, dtype=torch.float64):
        x = torch.randn(n, *self.shape, dtype=torch.float64) if self.draw is None else self.draw(n)
        return x.to(dtype)

    def contexts(self, n, dtype=torch.float64):
        """Arguments that follow x: none, or a context for each of n data points."""
        return () if self.context is None else (torch.randn(n, *self.context, dtype=torch.float64).to(dtype),)

    def layer(self, dtype=torch.float64):
        """The layer in eval mode, with weights that hide nothing: zero-initialised ones would test the identity."""
        layer = self.make().to(torch.float64).eval()
        generator = torch.Generator().manual_seed(zlib.crc32(self.name.encode()))
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        if self.prepare is not None:
            self.prepare(layer)
        return layer.to(dtype)


class Conv(nn.Module):
    """A small smooth conditioner for images; with context_dim > 0 a context shifts every channel."""

    def __init__(self, channels, out, context_dim=0):
        super().__init__()
        self.first, self.last = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, out, 3, padding=1)
        self.of_context = nn.Linear(context_dim, 4) if context_dim else None

    def forward(self, x, context=None):
        hidden = self.first(x)
        if self.of_context is not None:
            hidden = hidden + self.of_context(context)[:, :, None, None]
        return self.last(torch.tanh(hidden))


def additive(mask):
    kept = int(mask.sum())
    return AdditiveCoupling(mask, MLP(kept, len(mask) - kept, (16, 16), "tanh"))


def affine(mask, max_log_scale=2.0, context_dim=0):
    kept = int(mask.sum())
    net = MLP(kept, 2 * (len(mask) - kept), (16, 16), "tanh", context_dim)
    return AffineCoupling(mask, net, max_log_scale)


def affine_image(channels, mask, max_log_scale=2.0, context_dim=0):
    return AffineCoupling(mask, Conv(channels, 2 * channels, context_dim), max_log_scale)


def stack(dim):
    return Chain([affine(half_mask(dim, 0)), Scaling(dim), affine(half_mask(dim, 1)), additive(half_mask(dim, 0))])


def used(layer):
    """Batch norm after some training: running statistics that are no longer those of the start."""
    n = len(layer.beta)
    layer.running_mean.copy_(torch.linspace(-1, 2, n))
    layer.running_var.copy_(torch.linspace(0.5, 3, n))


def tower(context_dim=0):
    """Two scales on images (1, 4, 6), with couplings in both."""
    first = [affine_image(1, checkerboard_mask(4, 6, 0), context_dim=context_dim), Squeeze()]
    second = [affine_image(2, channel_mask(2, 1), context_dim=context_dim), ActNorm(2)]
    return MultiScale([Chain([*first, ActNorm(4)]), Chain(second)], (1, 4, 6))


SCATTERED = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])

CASES = [
    *(Case(f"additive half, {d}", lambda d=d: additive(half_mask(d, 0)), (d,)) for d in (2, 3, 7)),
    Case("additive other half", lambda: additive(half_mask(5, 1)), (5,)),
    Case("additive alternating", lambda: additive(alternating_mask(5, 1)), (5,)),
    Case("masked additive", lambda: MaskedAdditiveCoupling(half_mask(5, 0), MLP(5, 5, 16, "tanh")), (5,)),
    Case("additive image", lambda: AdditiveCoupling(checkerboard_mask(3, 5, 0), Conv(2, 2)), (2, 3, 5)),
    *(Case(f"affine half, {d}", lambda d=d: affine(half_mask(d, 0)), (d,)) for d in (2, 3, 7)),
    Case("affine other half", lambda: affine(half_mask(5, 1)), (5,)),
    Case("affine alternating", lambda: affine(alternating_mask(5, 0)), (5,)),
    Case("affine scattered", lambda: affine(SCATTERED), (7,)),
    Case("affine, learned gain", lambda: affine(half_mask(5, 0), None), (5,)),
    Case("affine with context", lambda: affine(half_mask(5, 0), context_dim=3), (5,), context=(3,)),
    Case("affine checkerboard", lambda: affine_image(2, checkerboard_mask(3, 5, 1)), (2, 3, 5)),
    Case("affine checkerboard, one channel", lambda: affine_image(1, checkerboard_mask(5, 3, 0), None), (1, 5, 3)),
    Case("affine channels", lambda: affine_image(3, channel_mask(3, 0)), (3, 3, 2), free=(1, 2)),
    Case(
        "affine channels, compact", lambda: AffineCoupling(half_mask(3, 1), Conv(1, 4)), (3, 3, 2), free=(1, 2)
    ),
    Case("affine pixels", lambda: affine_image(2, (torch.arange(30) % 3 == 0).view(2, 3, 5)), (2, 3, 5)),
    Case(
        "affine image with context",
        lambda: affine_image(2, channel_mask(2, 1), context_dim=3),
        (2, 3, 2),
        context=(3,),
        free=(1, 2),
    ),
    Case("scaling", lambda: Scaling(5), (5,)),
    Case("chain", lambda: stack(5), (5,)),
    Case(
        "coupling chain, channels",
        lambda: CouplingChain([AffineCoupling(half_mask(4, i % 2), Conv(2, 4)) for i in range(2)]),
        (4, 3, 2),
        free=(1, 2),
    ),
    Case("coupling chain", lambda: CouplingChain([affine(half_mask(5, i % 2)) for i in range(3)]), (5,)),
    Case("chain of chains", lambda: Chain([Chain([Scaling(4)]), Chain([additive(alternating_mask(4, 0))])]), (4,)),
    Case("actnorm", lambda: ActNorm(5), (5,)),
    Case("actnorm, image", lambda: ActNorm(3), (3, 2, 3), free=(1, 2)),
    Case("actnorm, each pixel", lambda: ActNorm((3, 2, 3)), (3, 2, 3)),
    Case("batch norm", lambda: BatchNorm(5), (5,), prepare=used),
    Case("batch norm, image", lambda: BatchNorm(3, eps=1e-4), (3, 2, 3), prepare=used, free=(1, 2)),
    Case(
        "equalize",
        lambda: Equalize(4),
        (5,),
        draw=lambda n: torch.rand(n, 5, dtype=torch.float64),
        prepare=lambda layer: layer.initialise(torch.linspace(0, 1, 50, dtype=torch.float64)[:, None] ** 2),
        free=(0,),
    ),
    Case("flip", lambda: Flip(5), (5,)),
    Case("flip, image", lambda: Flip(3), (3, 2, 3), free=(1, 2)),
    Case("permutation", lambda: Permutation([3, 0, 4, 1, 2]), (5,)),
    Case("permutation, image", lambda: Permutation([2, 0, 1]), (3, 2, 3), free=(1, 2)),
    Case("squeeze", lambda: Squeeze(), (2, 4, 6), free=(0, 1, 2)),
    Case("squeeze by 3", lambda: Squeeze(3), (1, 3, 6), free=(0, 1, 2)),
    Case("split", lambda: Split((2, 3, 3), affine_image(1, checkerboard_mask(3, 3, 0))), (2, 3, 3)),
    Case("split with nothing after it", lambda: Split((3, 2, 3)), (3, 2, 3)),
    Case("multi-scale", tower, (1, 4, 6)),
    Case("multi-scale with context", lambda: tower(3), (1, 4, 6), context=(3,)),
    *(Case(f"planar, {d}", lambda d=d: Planar(d), (d,)) for d in (1, 2, 5)),
    Case("logit", lambda: Logit(), (5,), draw=lambda n: torch.rand(n, 5, dtype=torch.float64), free=(0,)),
    Case(
        "logit, image",
        lambda: Logit(1e-3),
        (2, 3, 2),
        draw=lambda n: torch.rand(n, 2, 3, 2, dtype=torch.float64),
        free=(0, 1, 2),
    ),
]
