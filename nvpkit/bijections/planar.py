"""Planar flow (Rezende, Mohamed 2015): the space moves along one direction, by an amount that depends on another."""

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from nvpkit.bijections.base import Bijection, check_count, check_vector


class Planar(Bijection):
    """z = x + u' tanh(w.x + b) for vectors (B, D), with u' such that w.u' > -1 (Rezende and Mohamed, equation 10).

    u' = u + (m(w.u) - w.u) w / |w|^2 with m(a) = softplus(a) - 1 (their appendix A.1) keeps the map invertible for any
    u, w, b. ``log_det`` is log(1 + (1 - tanh^2) w.u') (equation 12). There is no closed inverse: ``inverse`` solves one
    equation with one unknown for each sample by bisection, to the rounding of the dtype, and gradients flow through the
    solution. The untrained layer is the identity.

    >>> import torch
    >>> layer = Planar(2)
    >>> _ = layer.u.data.copy_(torch.tensor([2.0, -1.0]))
    >>> x = torch.randn(4, 2)
    >>> z, log_det = layer(x)
    >>> torch.allclose(layer.inverse(z)[0], x, atol=1e-5)
    True
    """

    def __init__(self, dim):
        super().__init__()
        check_count("dim", dim)
        w = torch.randn(dim) / math.sqrt(dim)
        w = torch.where(w == 0, 1.0, w)
        self.w = nn.Parameter(w)
        # softplus(w.u) = 1 here, so that u' = 0.
        self.u = nn.Parameter(math.log(math.e - 1) * w / (w * w).sum())
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, x, context=None):
        check_vector(x, len(self.w), "Planar")
        direction, slope = self._guarded()
        h = torch.tanh(x @ self.w + self.b)
        return x + h[:, None] * direction, _log_slope(h, slope)

    def inverse(self, z, context=None):
        check_vector(z, len(self.w), "Planar.inverse")
        direction, slope = self._guarded()
        h = torch.tanh(_solve(z @ self.w + self.b, slope))
        return z - h[:, None] * direction, -_log_slope(h, slope)

    def _guarded(self):
        """Return u' and 1 + w.u', which is softplus(w.u): a sum would lose its digits near 0."""
        length, product = self.w.square().sum(), self.w @ self.u
        slope = softplus(product)
        direction = self.u + (slope - 1 - product) / length.clamp_min(torch.finfo(length.dtype).tiny) * self.w
        # With w = 0 every point moves alike, whatever the guard asks for.
        return direction, torch.where(length > 0, slope, torch.ones_like(slope))

    def extra_repr(self):
        return f"dim={len(self.w)}"


def _slope(h, slope):
    """1 + (1 - h^2) (slope - 1), written as a sum of positive terms."""
    return (h * h + (1 - h * h) * slope).clamp_min(torch.finfo(h.dtype).tiny)


def _log_slope(h, slope):
    return _slope(h, slope).log()


def _solve(c, slope):
    """Return a (B,) with a + k tanh(a) = c, where k = slope - 1 > -1: an increasing function of a."""
    k = slope - 1
    with torch.no_grad():
        low, high = c - k.abs(), c + k.abs()
        # Each step adds a bit, so this many leave nothing to gain, even where the root lies near zero.
        for _ in range(2 * round(-math.log2(torch.finfo(c.dtype).eps))):
            a = (low + high) / 2
            too_low = a + k * torch.tanh(a) < c
            low, high = torch.where(too_low, a, low), torch.where(too_low, high, a)
        a = (low + high) / 2
    if not torch.is_grad_enabled():
        return a
    # Newton's step from the solution is zero, and its gradient is that of the implicit function.
    h = torch.tanh(a)
    residual = a + k * h - c
    return a - (residual - residual.detach()) / _slope(h, slope).detach()
