"""Densities of curves blurred by Gaussian noise, by quadrature along the curve."""

import functools
import math

import numpy as np
import torch


@functools.lru_cache
def legendre_nodes(n):
    """Return Gauss-Legendre nodes and weights (n,) on [0, 1], in float64; they are exact at the curve's ends too.

    >>> u, weights = legendre_nodes(8)
    >>> round((weights * u**2).sum().item(), 12)
    0.333333333333
    """
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return torch.as_tensor((nodes + 1) / 2), torch.as_tensor(weights / 2)


def arc_log_prob(x, nodes, weights, sigma, chunk=4096):
    """Return log sum_k weights_k N(x; nodes_k, sigma^2 I) for x (n, 2), nodes (K, 2), weights (K,): shape (n,).

    With enough nodes (their distance well below sigma) this is the density of the blurred curve up to rounding.
    """
    constant = -2 * math.log(sigma) - math.log(2 * math.pi)

    def part_log_prob(part):
        # By differences, not by the inner product: |x|^2 + |c|^2 - 2 x.c loses digits next to a narrow curve.
        distance = torch.cdist(part, nodes, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.logsumexp(weights.log() - distance**2 / (2 * sigma**2), 1)

    return torch.cat([part_log_prob(part) for part in x.split(chunk)]) + constant
