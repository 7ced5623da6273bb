"""A conditional density that is known in full: x given y is normal around the mean that the context picks."""

import math

import torch

from nvpkit import Bijection, Flow
from nvpkit.distributions import standard_normal


class Shift(Bijection):
    """z = (x - context @ means) / sigma."""

    def __init__(self, means, sigma=1.0):
        super().__init__()
        self.means, self.sigma = torch.nn.Parameter(torch.as_tensor(means)), sigma

    def forward(self, x, context=None):
        return (x - context @ self.means) / self.sigma, self.log_det(x, -1)

    def inverse(self, z, context=None):
        return z * self.sigma + context @ self.means, self.log_det(z, 1)

    def log_det(self, x, sign):
        return x.new_full((len(x),), sign * x[0].numel() * math.log(self.sigma))


def shift_flow(means, sigma=1.0):
    means = torch.as_tensor(means)
    return Flow(Shift(means, sigma), standard_normal(means.shape[1]).to(means.dtype))
