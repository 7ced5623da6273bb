"""How much probability a flow gives to data: nats, bits, and the distance to a known density."""

import math

import torch

from nvpkit.distributions import draw
from nvpkit.distributions.base import check_count
from nvpkit.errors import ShapeError
from nvpkit.metrics.evaluation import evaluating, floats_of, mean_and_error


def bits_per_dim(log_prob, dims, levels=1):
    """Turn a log-probability in nats into bits per dimension: (-log_prob + D ln levels) / (D ln 2).

    ``levels`` is 1 when ``log_prob`` is the log-mass of integers (a flow that starts with ``Dequantize``), 256 when it
    is the density of 8-bit images scaled to [0, 1]. Works on numbers and elementwise on tensors.

    >>> round(bits_per_dim(1980.50, dims=784, levels=256), 2)   # NICE on MNIST
    4.36
    """
    if not (dims >= 1 and levels >= 1):
        raise ValueError(f"dims and levels must be at least 1, got dims={dims} and levels={levels}")
    return (-log_prob + dims * math.log(levels)) / (dims * math.log(2))


def kl_to(flow, target, n=50_000, generator=None, chunk=8192):
    """Estimate KL(target || flow) = E_target[log p - log q] in nats from n samples: (estimate, standard_error).

    ``target`` has ``sample`` and ``log_prob``: a toy, a mixture or a torch.distributions object. Works in chunks, in
    eval mode, without gradients. ``generator`` makes the draws repeatable for targets that take one.

    >>> from nvpkit.data import parabola
    >>> from nvpkit.models import nice
    >>> estimate, error = kl_to(nice(2), parabola(), 1000, torch.Generator().manual_seed(0))
    >>> estimate > 10 * error > 0
    True
    """
    check_count(n, "samples for a standard error", least=2)
    check_count(chunk, "samples in a chunk")
    like, gaps = floats_of(flow), []
    with torch.no_grad(), evaluating(flow):
        for size in [chunk] * (n // chunk) + [n % chunk] * (n % chunk > 0):
            x = draw(target, size, generator)
            gaps.append((target.log_prob(x).to(like) - flow.log_prob(x.to(like))).double().cpu())
    return mean_and_error(torch.cat(gaps))


def negative_log_likelihood(flow, x, context=None, chunk=1024):
    """Return (mean of -log_prob(x) in nats, its standard error) over the rows of x, in eval mode.

    With ``Dequantize`` in front each image gets one draw of the noise, and the standard error counts it too. ``x``
    may lie on another device than the flow.

    >>> from nvpkit.data import moons
    >>> from nvpkit.models import nice
    >>> estimate, error = negative_log_likelihood(nice(2), moons().sample(1000))
    >>> estimate > 2 and 0 < error < 0.1
    True
    """
    check_count(len(x), "samples for a standard error", least=2)
    check_count(chunk, "samples in a chunk")
    with torch.no_grad(), evaluating(flow):
        parts = [flow.log_prob(*part) for part in _parts(flow, x, context, chunk)]
    return mean_and_error(-torch.cat(parts))


def importance_weighted_log_prob(flow, x, n_draws, context=None, chunk=1024):
    """Return log (1/S) sum_s exp(log_prob_s(x)) over S = n_draws draws of the dequantisation noise, shape (B,).

    For a flow that starts with ``Dequantize`` this is the importance-weighted bound (Burda, Grosse, Salakhutdinov
    2016, equation 8): below the log-mass of the integers in expectation, never looser with more draws, and equal to
    it in the limit. S = 1 is ``log_prob`` itself. ``bits_per_dim`` of it is a bound from above. ``chunk`` is how many
    (image, draw) pairs are computed at once. A flow without noise gives its ``log_prob``.

    >>> from nvpkit.models import nice
    >>> x = torch.randint(4, (3, 2))
    >>> importance_weighted_log_prob(nice(2, levels=4), x, 50).shape
    torch.Size([3])
    """
    check_count(n_draws, "draws")
    check_count(chunk, "pairs in a chunk")
    check_count(len(x), "samples")
    draws = min(n_draws, chunk)
    bounds = []
    with torch.no_grad(), evaluating(flow):
        for part, given in _parts(flow, x, context, max(1, chunk // draws)):
            log_sum = torch.full((len(part),), -math.inf, dtype=torch.float64, device=part.device)
            for start in range(0, n_draws, draws):
                size = min(draws, n_draws - start)
                repeated = None if given is None else given.repeat_interleave(size, 0)
                log_probs = flow.log_prob(part.repeat_interleave(size, 0), repeated).double().reshape(-1, size)
                log_sum = torch.logaddexp(log_sum, log_probs.logsumexp(1))
            bounds.append(log_sum - math.log(n_draws))
    return torch.cat(bounds).to(floats_of(flow).dtype)


def _parts(flow, x, context, chunk):
    """Yield (rows of x, their context) in chunks on the flow's device."""
    if context is not None and len(context) != len(x):
        raise ShapeError(f"{len(x)} samples need a context of {len(x)} rows, got shape {tuple(context.shape)}")
    device = floats_of(flow).device
    contexts = [None] * len(x) if context is None else context.split(chunk)
    for part, given in zip(x.split(chunk), contexts):
        yield part.to(device), None if given is None else given.to(device)
