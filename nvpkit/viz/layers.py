"""What each layer of a flow does to points or to a grid, layer by layer."""

import torch

from nvpkit.viz.canvas import BLUE, GREEN, ORANGE, PINK, SKY, VERMILLION, box, plain

# Points keep the colour of the direction in which they start.
WHEEL = [BLUE, SKY, GREEN, ORANGE, VERMILLION, PINK]


@torch.no_grad()
def layer_states(flow, x, context=None, inverse=False):
    """Return x (..., 2) before the first layer and after each one: a tensor (layers + 1, ..., 2).

    ``flow`` is a Flow, a Chain or a list of layers, each mapping (n, 2) to (z, log_det). A chain inside a chain gives
    its own layers. ``inverse`` goes from latent to data, the last layer first. Modules run as they are: in eval mode
    for a trained flow. ``grid_lines`` gives lines to send through.

    >>> from nvpkit.models import nice
    >>> layer_states(nice(2, n_layers=3), torch.randn(10, 2)).shape   # three couplings and a scaling
    torch.Size([5, 10, 2])
    """
    x = torch.as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != 2:
        raise ValueError(f"layer_states moves points of the plane, shape (..., 2), got {tuple(x.shape)}")
    layers = _layers(flow)
    states = [x.reshape(-1, 2)]
    for layer in reversed(layers) if inverse else layers:
        z = (layer.inverse if inverse else layer)(states[-1], *([] if context is None else [context]))
        states.append(z[0] if isinstance(z, tuple) else z)
    return torch.stack(states).reshape(-1, *x.shape)


def movement(states, axes=None, titles=None, limits=None):
    """Draw each state in its own panel, on the same limits; returns the array of Axes.

    ``states`` is (K, n, 2) for points or (K, lines, n, 2) for lines, as ``layer_states`` returns. ``axes`` are K Axes
    unless new ones are made. Points have the colour of the direction in which they start.

    >>> from nvpkit.models import nice
    >>> panels = movement(layer_states(nice(2, n_layers=2), torch.randn(10, 2)))
    >>> [ax.get_title() for ax in panels]
    ['start', 'layer 1', 'layer 2', 'layer 3']
    """
    import numpy as np

    states = plain(states, "movement", (3, 4), 2)
    titles = stage_names(len(states)) if titles is None else list(titles)
    axes = _panels(len(states)) if axes is None else np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(axes) != len(states) or len(titles) != len(states):
        raise ValueError(f"{len(states)} states need as many axes and titles, got {len(axes)} and {len(titles)}")
    left, right, bottom, top = box(limits) if limits is not None else surrounding(states)
    colors = [WHEEL[g] for g in direction_groups(states[0])] if states.ndim == 3 else None
    for ax, state, title in zip(axes, states, titles):
        if state.ndim == 2:
            ax.scatter(*state.T.numpy(), s=4, alpha=0.6, c=colors, linewidths=0, rasterized=True)
        else:
            for i, line in enumerate(state):
                ax.plot(*line.T.numpy(), color=(BLUE, ORANGE)[i % 2], linewidth=0.7)
        ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        ax.set_title(title)
    for ax in axes:
        spec = ax.get_subplotspec()
        ax.tick_params(labelleft=spec is None or spec.is_first_col(), labelbottom=True)
    return axes


def stage_names(count):
    """Return "start", "layer 1", "layer 2", ... for the states of a movement.

    >>> stage_names(3)
    ['start', 'layer 1', 'layer 2']
    """
    return ["start", *(f"layer {k}" for k in range(1, count))]


def surrounding(states, margin=0.04):
    """Return (x low, x high, y low, y high) of a square around all states, with a margin.

    >>> surrounding(torch.tensor([[[-1.0, 0.0], [1.0, 0.5]]]), margin=0.0)
    (-1.0, 1.0, -0.75, 1.25)
    """
    points = states.reshape(-1, 2)
    low, high = points.amin(0), points.amax(0)
    centre, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-6) * (1 + 2 * margin)
    (x, y) = centre.tolist()
    return x - half, x + half, y - half, y + half


def direction_groups(points, count=6):
    """Return for each point (n, 2) its sector around the mean, 0..count-1, a list; all sectors hold as many points.

    >>> direction_groups(torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]), 4)
    [0, 1, 2, 3]
    """
    centred = points - points.mean(0)
    rank = torch.atan2(centred[:, 1], centred[:, 0]).argsort().argsort()
    return (rank * count // len(points)).tolist()


def _panels(count):
    import matplotlib.pyplot as plt

    rows = -(-count // 5)
    columns = -(-count // rows)
    size = (2.3 * columns, 2.5 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", facecolor="white", squeeze=False)
    for ax in axes.ravel()[count:]:
        figure.delaxes(ax)
    return axes.ravel()[:count]


def _layers(flow):
    """The layers in order: of a flow its bijection's, of a chain its own, all the way down."""
    flow = getattr(flow, "bijection", flow)
    if hasattr(flow, "layers") or isinstance(flow, (list, tuple)):
        return [inner for layer in getattr(flow, "layers", flow) for inner in _layers(layer)]
    return [flow]
