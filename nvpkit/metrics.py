"""Numbers that say how good a flow is, and whether it is a flow at all."""

import contextlib
import math

import torch
from torch.distributions import Distribution


def bits_per_dim(log_prob, dims, levels=1):
    """Turn a log-probability in nats into bits per dimension: (-log_prob + D ln levels) / (D ln 2).

    ``levels`` is 1 when ``log_prob`` is the log-mass of integers (a flow that starts with ``Dequantize``), 256 when it
    is the density of 8-bit images scaled to [0, 1]. Works on numbers and elementwise on tensors.

    >>> round(bits_per_dim(1980.50, dims=784, levels=256), 2)   # NICE on MNIST
    4.36
    """
    if dims < 1 or levels < 1:
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
    if n < 2:
        raise ValueError(f"a standard error needs n of at least 2, got {n}")
    like = next((t for t in [*flow.parameters(), *flow.buffers()] if t.is_floating_point()), torch.empty(0))
    gaps = []
    with torch.no_grad(), evaluating(flow):
        for size in torch.full((n // chunk,), chunk).tolist() + [n % chunk] * (n % chunk > 0):
            x = draw(target, size, generator)
            gaps.append((target.log_prob(x).to(like) - flow.log_prob(x.to(like))).double().cpu())
    gaps = torch.cat(gaps)
    return gaps.mean().item(), (gaps.std() / math.sqrt(n)).item()


def round_trip_error(flow, x, context=None):
    """Return max |inverse(forward(x)) - x| in eval mode, for a flow or a single bijection.

    With ``Dequantize`` in front the result is 0 when every integer comes back.

    >>> from nvpkit.bijections import Scaling
    >>> round_trip_error(Scaling(2), torch.ones(4, 2))
    0.0
    """
    with torch.no_grad(), evaluating(flow):
        back, _ = flow.inverse(flow(x, context)[0], context)
    return (back - x).abs().max().item()


def log_det_error(flow, x, context=None):
    """Return max |log_det - log|det J|| in eval mode, J the Jacobian of forward by autograd, one for each sample of x.

    Costs one backward pass for each dimension. Integer x is taken as float.

    >>> from nvpkit.bijections import Scaling
    >>> log_det_error(Scaling(2), torch.ones(4, 2))
    0.0
    """
    dtypes = [t.dtype for t in [*flow.parameters(), *flow.buffers()] if t.is_floating_point()]
    x = x.detach().to(x.dtype if x.is_floating_point() else (*dtypes, torch.get_default_dtype())[0])
    x.requires_grad_()
    with torch.enable_grad(), evaluating(flow):
        z, log_det = flow(x, context)
        # In eval mode samples do not mix, so the gradient of a sum over the batch holds every sample's own row.
        rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1) for column in z.flatten(1).T]
    expected = torch.linalg.slogdet(torch.stack(rows, 1).double())[1]
    return (log_det.detach().double() - expected).abs().max().item()


def grid_integral(log_prob, low, high, n=200):
    """Integrate exp(log_prob) over the square [low, high]^2 with n x n midpoints: 1 for a density that lies inside.

    ``log_prob`` maps points (m, 2) in the default dtype to (m,).

    >>> from nvpkit.distributions import standard_normal
    >>> round(grid_integral(standard_normal(2).log_prob, -6, 6, 100), 4)
    1.0
    """
    if n < 1 or not low < high:
        raise ValueError(f"a grid needs n of at least 1 and low < high, got n={n}, low={low}, high={high}")
    axis = low + (torch.arange(n, dtype=torch.float64) + 0.5) * (high - low) / n
    axis = axis.to(torch.get_default_dtype())
    total = 0.0
    with torch.no_grad():
        for rows in axis.split(max(1, 65536 // n)):
            total += log_prob(torch.cartesian_prod(rows, axis)).double().exp().sum().item()
    return total * ((high - low) / n) ** 2


def draw(target, n, generator=None):
    """Return n samples of a target: ours take a generator, torch.distributions objects draw from the global one.

    >>> draw(torch.distributions.Normal(torch.zeros(2), 1.0), 5).shape
    torch.Size([5, 2])
    """
    if isinstance(target, Distribution):
        if generator is not None:
            raise ValueError("torch.distributions objects take no generator: seed with torch.manual_seed instead")
        return target.sample((n,))
    return target.sample(n, generator=generator)


@contextlib.contextmanager
def evaluating(module):
    """Put a module into eval mode for a while; every part returns to the mode that it was in.

    >>> layer = torch.nn.Dropout()
    >>> with evaluating(layer):
    ...     layer.training
    False
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
