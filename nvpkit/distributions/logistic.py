"""The logistic distribution, which torch.distributions has only as a transformed uniform."""

import math

import torch
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid


class Logistic(Distribution):
    """The logistic distribution with location and scale, element by element.

    log p(z) = log sigmoid(h) + log sigmoid(-h) - log(scale) with h = (z - loc) / scale (NICE, section 3.4, where it is
    written with softplus): exact to rounding for any h, where log(exp(h) / (1 + exp(h))^2) would overflow.

    >>> Logistic(torch.tensor(0.0), torch.tensor(1.0)).log_prob(torch.tensor([0.0, 1000.0]))
    tensor([   -1.3863, -1000.0000])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012
    support = constraints.real
    has_rsample = True

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = torch.distributions.utils.broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        return Logistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), validate_args=False)

    def rsample(self, sample_shape=(), generator=None):
        shape = self._extended_shape(torch.Size(sample_shape))
        # The log of a ratio of two exponential variables is logistic; unlike logit(uniform) it is never infinite.
        above, below = (torch.empty_like(self.loc.expand(shape)).exponential_(generator=generator) for _ in range(2))
        return self.loc + self.scale * (above.log() - below.log())

    def log_prob(self, value):
        h = (value - self.loc) / self.scale
        return logsigmoid(h) + logsigmoid(-h) - self.scale.log()

    def cdf(self, value):
        return torch.sigmoid((value - self.loc) / self.scale)

    def icdf(self, value):
        return self.loc + self.scale * torch.logit(value)

    def entropy(self):
        return 2 + self.scale.log()

    @property
    def mean(self):
        return self.loc

    @property
    def variance(self):
        return (self.scale * math.pi) ** 2 / 3
