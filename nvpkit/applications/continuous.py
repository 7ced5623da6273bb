"""The part of a flow that is a density: what stands behind its dequantisation."""

from nvpkit.bijections import Chain, Dequantize
from nvpkit.errors import ShapeError
from nvpkit.flow import Flow


def continuous(flow):
    """Return ``(front, rest)``: the ``Dequantize`` that a flow starts with, and the flow behind it on [0, 1].

    Gradients with respect to pixels, and comparisons of one image under several contexts, need the density of the
    continuous image: ``rest.log_prob``. The parameters are shared, nothing is copied. A flow without ``Dequantize`` in
    front is its own rest: ``(None, flow)``.

    >>> from nvpkit.models import nice
    >>> front, rest = continuous(nice(4, levels=17))
    >>> front, len(rest.bijection.layers)
    (Dequantize(levels=17), 5)
    >>> flow = nice(4)
    >>> continuous(flow) == (None, flow)
    True
    """
    if not isinstance(flow, Flow):
        raise TypeError(f"expected an nvpkit.Flow, got {type(flow).__name__}")
    layers = _flattened(flow.bijection)
    if not isinstance(layers[0], Dequantize):
        return None, flow
    if len(layers) == 1:
        raise ValueError("the flow is a Dequantize alone: there is no density behind it")
    rest = Flow(Chain(layers[1:]), flow.base, event_shape=flow.event_shape)
    # The new wrappers alone: the layers keep the mode that each is in.
    for wrapper in (rest, rest.bijection, rest.bijection.layers):
        wrapper.training = flow.training
    return layers[0], rest


def _flattened(bijection):
    """The layers in order; a chain inside a chain gives its own."""
    if isinstance(bijection, Chain):
        return [inner for layer in bijection.layers for inner in _flattened(layer)]
    return [bijection]


def repeated(context, times):
    """Return the rows of a context, all of them ``times`` times over: c1, c2, c1, c2 (None stays None).

    >>> import torch
    >>> repeated(torch.tensor([[1.0], [2.0]]), 2).flatten()
    tensor([1., 2., 1., 2.])
    """
    return None if context is None else context.repeat(times, *[1] * (context.ndim - 1))


def same_shape(first, second, who):
    """Raise ShapeError unless two tensors have one shape.

    >>> import torch
    >>> same_shape(torch.zeros(2), torch.zeros(2), "slerp")
    """
    if first.shape != second.shape:
        raise ShapeError(f"{who} expects two tensors of one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
