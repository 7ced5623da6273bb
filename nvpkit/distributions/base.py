"""The densities that a flow stands on."""

import math
from numbers import Integral

import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import logsigmoid

from nvpkit.distributions.logistic import Logistic
from nvpkit.errors import ShapeError


class Base(nn.Module):
    """A density that a flow can stand on: ``event_shape``, ``log_prob(z) -> (B,)``, ``sample(n, generator)``."""

    def distribution(self):
        """Return the torch.distributions object, in the module's present dtype and on its device."""
        raise TypeError(f"{type(self).__name__} must define distribution()")

    @property
    def event_shape(self):
        return tuple(self.distribution().event_shape)

    def log_prob(self, z):
        """Return the log-density of z (B, *event_shape) in nats, shape (B,)."""
        self._check_shape(z)
        return self.distribution().log_prob(z)

    def sample(self, n, generator=None):
        """Return n samples (n, *event_shape), drawn with ``generator`` where one is given."""
        raise TypeError(f"{type(self).__name__} must define sample(n, generator=None)")

    def _check_shape(self, z):
        if z.ndim == 0 or tuple(z.shape[1:]) != self.event_shape:
            raise ShapeError(f"expected shape (B, {', '.join(map(str, self.event_shape))}), got {tuple(z.shape)}")


class _Standard(Base):
    """Independent entries of one kind, location 0 and scale 1."""

    def __init__(self, shape):
        super().__init__()
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if len(shape) == 0 or min(shape) < 1:
            raise ValueError(f"an event shape has at least one axis and every axis at least one entry, got {shape}")
        self.register_buffer("loc", torch.zeros(shape), persistent=False)

    def distribution(self):
        entries = self.kind(self.loc, torch.ones_like(self.loc), validate_args=False)
        return Independent(entries, self.loc.ndim, validate_args=False)

    @property
    def event_shape(self):
        return tuple(self.loc.shape)

    def extra_repr(self):
        return f"event_shape={self.event_shape}"


class StandardNormal(_Standard):
    """Independent standard normal entries; made by ``standard_normal(shape)``."""

    kind = Normal

    def log_prob(self, z):
        # What distribution().log_prob gives, without making the object: every training step comes through here.
        self._check_shape(z)
        return -0.5 * z.square().flatten(1).sum(1) - 0.5 * math.log(2 * math.pi) * self.loc.numel()

    def sample(self, n, generator=None):
        check_count(n, "samples")
        return torch.randn(n, *self.loc.shape, generator=generator, dtype=self.loc.dtype, device=self.loc.device)


class StandardLogistic(_Standard):
    """Independent standard logistic entries; made by ``standard_logistic(shape)``."""

    kind = Logistic

    def log_prob(self, z):
        self._check_shape(z)
        return (logsigmoid(z) + logsigmoid(-z)).flatten(1).sum(1)

    def sample(self, n, generator=None):
        check_count(n, "samples")
        return self.distribution().base_dist.rsample((n,), generator=generator)


def standard_normal(shape):
    """Return the standard normal density on events of ``shape`` (an int or a tuple).

    >>> standard_normal(2).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """
    return StandardNormal(shape)


def standard_logistic(shape):
    """Return the standard logistic density on events of ``shape`` (an int or a tuple): NICE's prior.

    >>> standard_logistic(2).log_prob(torch.zeros(1, 2))
    tensor([-2.7726])
    """
    return StandardLogistic(shape)


def draw(target, n, generator=None):
    """Return n samples of a target: ours take a generator, torch.distributions objects draw from the global one.

    >>> draw(torch.distributions.Normal(torch.zeros(2), 1.0), 5).shape
    torch.Size([5, 2])
    """
    if isinstance(target, Distribution):
        if generator is not None:
            raise ValueError("torch.distributions objects take no generator: seed with torch.manual_seed instead")
        check_count(n, "samples")
        return target.sample((n,))
    return target.sample(n, generator=generator)


def check_count(n, what, least=1):
    """Raise ValueError unless n is an integer of at least ``least``; ``what`` names in the message what is counted.

    >>> check_count(-1, "samples")
    Traceback (most recent call last):
    ValueError: the number of samples must be an integer of at least 1, got -1
    """
    if isinstance(n, bool) or not isinstance(n, Integral) or n < least:
        raise ValueError(f"the number of {what} must be an integer of at least {least}, got {n!r}")
