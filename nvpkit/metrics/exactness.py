"""Is it a flow at all: the way there and back, the log-det against autograd, and the integral of the density."""

import torch

from nvpkit.bijections import Chain, Dequantize
from nvpkit.errors import ShapeError
from nvpkit.flow import Flow
from nvpkit.metrics.evaluation import evaluating, floats_of


def round_trip_error(flow, x, context=None, continuous=False):
    """Return max |inverse(forward(x)) - x| in eval mode, for a flow or a single bijection.

    With ``Dequantize`` in front the result is 0 when every integer comes back. ``continuous=True`` measures behind it
    instead, where rounding shows: in the flow's continuous coordinates, [0, 1] for images.

    >>> from nvpkit.bijections import Scaling
    >>> round_trip_error(Scaling(2), torch.ones(4, 2))
    0.0
    """
    with torch.no_grad(), evaluating(flow):
        if continuous:
            flow, x = continuous_part(flow, x, context)
        back, _ = flow.inverse(flow(x, context)[0], context)
    return (back - x).abs().max().item()


def log_det_error(flow, x, context=None):
    """Return max |log_det - log|det J|| in eval mode, J the Jacobian of forward by autograd, one for each sample of x.

    Costs one backward pass for each dimension. Behind ``Dequantize`` where the flow starts with it: its noise is drawn,
    not differentiated. Integer x is taken as float elsewhere.

    >>> from nvpkit.bijections import Scaling
    >>> log_det_error(Scaling(2), torch.ones(4, 2))
    0.0
    """
    with evaluating(flow):
        with torch.no_grad():
            part, x = continuous_part(flow, x, context)
        x = (x if x.is_floating_point() else x.to(floats_of(flow).dtype)).detach().requires_grad_()
        with torch.enable_grad():
            z, log_det = part(x, context)
            # In eval mode samples do not mix, so the gradient of a sum over the batch holds every sample's own row.
            rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1) for column in z.flatten(1).T]
    expected = torch.linalg.slogdet(torch.stack(rows, 1).double())[1]
    return (log_det.detach().double() - expected).abs().max().item()


def continuous_part(flow, x, context=None):
    """Return (what follows a leading ``Dequantize``, x dequantised), or (flow, x) where there is none.

    ``flow`` is a flow or a bijection; of a flow the result is a flow too, on the same layers. Raises ValueError when
    nothing follows or when x does not hold the integers that ``Dequantize`` expects.

    >>> from nvpkit.models import nice
    >>> flow, y = continuous_part(nice(2, levels=4), torch.tensor([[0, 3]]))
    >>> type(flow).__name__, bool((0 < y).all() and (y < 1).all())
    ('Flow', True)
    """
    bijection = flow.bijection if isinstance(flow, Flow) else flow
    layers = _unrolled(bijection)
    if not isinstance(layers[0], Dequantize):
        return flow, x
    if len(layers) == 1:
        raise ValueError("there is no continuous part behind Dequantize: it is the only layer")
    if len(x) == 0:
        raise ShapeError(f"expected at least one sample, got an empty batch of shape {tuple(x.shape)}")
    layers[0].check_input(x)
    y, _ = layers[0](x, context)
    rest = Chain(layers[1:])
    return (Flow(rest, flow.base, flow.event_shape) if isinstance(flow, Flow) else rest), y


def _unrolled(bijection):
    if not isinstance(bijection, Chain):
        return [bijection]
    return [layer for part in bijection.layers for layer in _unrolled(part)]


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
