"""Multi-scale Real NVP on images (Dinh, Sohl-Dickstein, Bengio 2016, sections 3.4 to 3.6 and 4.1)."""

import math

from nvpkit.bijections import (
    ActNorm,
    AffineCoupling,
    BatchNorm,
    Chain,
    Dequantize,
    Equalize,
    Logit,
    MultiScale,
    Squeeze,
    VariationalNoise,
    channel_mask,
    checkerboard_mask,
)
from nvpkit.distributions import standard_normal
from nvpkit.flow import Flow
from nvpkit.models.nice import check_count
from nvpkit.nets import ConvResNet

NORMS = {
    "actnorm": lambda shape: ActNorm(shape[0]),
    "pixel_actnorm": ActNorm,
    "batchnorm": lambda shape: BatchNorm(shape[0], eps=1e-4),
    None: None,
}


def squeezed_checkerboard_mask(shape, parity=0):
    """Return the mask (C, 1, 1) that is ``checkerboard_mask`` seen after a squeeze: channels 4c + {0, 3} or {1, 2}.

    ``shape`` (C, H, W) is that of the squeezed image. Convolutions then run at half the height and width.

    >>> squeezed_checkerboard_mask((4, 7, 7), 0).flatten()
    tensor([1., 0., 0., 1.])
    """
    if shape[0] % 4:
        raise ValueError(f"a squeezed checkerboard needs a multiple of 4 channels, got shape {tuple(shape)}")
    return checkerboard_mask(2, 2, parity).flatten().repeat(shape[0] // 4)[:, None, None]


MASKS = {
    "checkerboard": lambda shape, parity: checkerboard_mask(*shape[1:], parity),
    "squeezed_checkerboard": squeezed_checkerboard_mask,
    "channel": lambda shape, parity: channel_mask(shape[0], parity),
}


def paper_plan(shape):
    """Return the paper's order of steps, one list for each scale: section 3.6.

    Three checkerboard couplings, squeeze, three channel couplings, factor out half; the last scale, at 4x4 or at an odd
    side, has four checkerboard couplings.

    >>> [len(steps) for steps in paper_plan((1, 28, 28))]
    [7, 7, 4]
    """
    plan, (height, width) = [], shape[1:]
    while height % 2 == width % 2 == 0 and min(height, width) > 4:
        plan.append(["checkerboard"] * 3 + ["squeeze"] + ["channel"] * 3)
        height, width = height // 2, width // 2
    return [*plan, ["checkerboard"] * 4]


def squeeze_first_plan(shape):
    """Return a cheaper order: each scale squeezes first, and its checkerboards are groups of channels.

    >>> squeeze_first_plan((1, 28, 28))[0]
    ['squeeze', 'squeezed_checkerboard', ..., 'channel', 'channel']
    """
    plan, (height, width) = [], shape[1:]
    while height % 2 == width % 2 == 0 and min(height, width) >= 4:
        plan.append(["squeeze"] + ["squeezed_checkerboard"] * 4 + ["channel"] * 2)
        height, width = height // 2, width // 2
    if not plan:
        raise ValueError(f"plan 'squeeze_first' needs even sides of at least 4, got shape {tuple(shape)}")
    return plan


PLANS = {"paper": paper_plan, "squeeze_first": squeeze_first_plan}


def scale_layers(steps, shape, width, conditioner, norm="actnorm", max_log_scale=2.0):
    """Build one scale: the layers of ``steps`` for images of ``shape`` (C, H, W), as a Chain.

    A step is "squeeze" or the name of a mask: "checkerboard", "squeezed_checkerboard", "channel". The masks of one name
    alternate. ``conditioner(channels, width)`` makes a coupling's net (B, channels, H, W) -> (B, 2 channels, H, W); the
    width doubles at a squeeze that couplings came before. A layer of ``norm`` follows each coupling.

    >>> from nvpkit.nets import ConvResNet
    >>> net = lambda channels, width: ConvResNet(channels, 2 * channels, width, n_blocks=1)
    >>> scale_layers(["checkerboard", "squeeze", "channel"], (1, 4, 4), 8, net).output_shape((1, 4, 4))
    (4, 2, 2)
    """
    layers, parity = [], dict.fromkeys(MASKS, 0)
    for step in steps:
        if step == "squeeze":
            width *= 2 if layers else 1
            layers.append(Squeeze())
            shape = layers[-1].output_shape(shape)
            continue
        if step not in MASKS:
            raise ValueError(f"a step must be squeeze or one of {', '.join(MASKS)}, got {step!r}")
        mask = MASKS[step](shape, parity[step])
        parity[step] = 1 - parity[step]
        layers.append(AffineCoupling(mask, conditioner(shape[0], width), max_log_scale))
        if norm is not None:
            layers.append(NORMS[norm](shape))
    return Chain(layers)


def image_real_nvp(
    shape,
    preprocess=True,
    levels=256,
    hidden=32,
    n_blocks=4,
    norm="actnorm",
    weight_norm=False,
    net_norm=None,
    plan="paper",
    variational=False,
    context_dim=0,
    alpha=0.05,
    max_log_scale=2.0,
    skips=True,
    equalize=False,
    kernels=(3, 3),
):
    """Build a multi-scale Real NVP on images (B, C, H, W) of ``shape`` (C, H, W).

    With ``preprocess`` integers 0..levels-1 go in: ``Dequantize`` and ``Logit(alpha)`` come first, and log_prob is a
    lower bound of the image's log-mass. ``variational`` makes the noise a learned ``VariationalNoise``: True, or a
    dictionary of its settings. Without ``preprocess`` real numbers go in.
    ``equalize`` puts ``Equalize`` before the logit, which then wants a small alpha such as 1e-5: True for the data's
    own histogram, or the share that the most frequent level gets.

    ``hidden`` is the width of the first scale's residual nets, doubled at each squeeze, ``n_blocks`` their number of
    blocks, ``net_norm`` None or "batch", ``weight_norm``, ``skips`` and ``kernels`` as in ``ConvResNet``. ``norm`` is
    what follows each coupling: "actnorm", "pixel_actnorm", "batchnorm" (the paper's) or None. ``plan`` is the order of
    layers: "paper", "squeeze_first", or a list of steps for each scale (see ``scale_layers``); half of the channels is
    factored out between scales. With ``context_dim`` > 0 the flow is conditional on a context (B, context_dim).

    The latent is one vector (B, C H W), factored-out parts first. ``flow.config`` holds the settings. Raises ShapeError
    or ValueError for a shape or settings that make no flow.

    >>> import torch
    >>> flow = image_real_nvp((1, 8, 8), levels=17, hidden=4, n_blocks=1).eval()
    >>> flow.log_prob(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape, flow.sample(2).shape
    (torch.Size([2]), torch.Size([2, 1, 8, 8]))
    """
    settings = {**locals(), "shape": list(shape), "kernels": list(kernels)}
    shape = tuple(shape)
    if len(shape) != 3:
        raise ValueError(f"shape must be (C, H, W), got {shape}")
    for name, n in zip(("channels", "height", "width"), shape):
        check_count(name, n, 1)
    if shape[1] * shape[2] < 2:
        raise ValueError(f"a checkerboard needs at least two pixels, got shape {shape}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(map(str, NORMS))}, got {norm!r}")
    if isinstance(plan, str) and plan not in PLANS:
        raise ValueError(f"plan must be one of {', '.join(PLANS)} or a list of steps for each scale, got {plan!r}")
    plan = PLANS[plan](shape) if isinstance(plan, str) else plan

    def conditioner(channels, width):
        wanted = (weight_norm, net_norm, context_dim, True, skips, kernels)
        return ConvResNet(channels, 2 * channels, width, n_blocks, *wanted)

    scales, now, width = [], shape, hidden
    for steps in plan:
        scales.append(scale_layers(steps, now, width, conditioner, norm, max_log_scale))
        now = scales[-1].output_shape(now)
        now, width = (now[0] - now[0] // 2, *now[1:]), 2 * width
    q = None
    if preprocess and variational:
        q = VariationalNoise(shape, levels, **(variational if isinstance(variational, dict) else {}))
    layers = [Dequantize(levels, q), Logit(alpha)] if preprocess else []
    if preprocess and equalize:
        layers.insert(1, Equalize(levels, None if equalize is True else equalize))
    flow = Flow(Chain([*layers, MultiScale(scales, shape)]), standard_normal(math.prod(shape)), event_shape=shape)
    flow.config = {"model": "image_real_nvp", "settings": settings}
    return flow
