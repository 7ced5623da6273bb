"""Filling in hidden pixels by climbing the likelihood."""

import math

import torch

from nvpkit.applications.continuous import continuous, repeated
from nvpkit.errors import ShapeError
from nvpkit.metrics import evaluating

REGIONS = ("top", "bottom", "left", "right", "even", "odd", "middle_rows", "middle_columns", "random_75", "random_90")


def known_pixels(region, shape, generator=None):
    """Return the mask of one of NICE's experiments, bool of ``shape`` (H, W) or (C, H, W): True where a pixel is seen.

    ``region`` names what is hidden: a half ("top", "bottom", "left", "right"), every other pixel in reading order
    ("even", "odd"), the middle half of the rows or columns (7 to 20 of 28), or a random 75 % or 90 % (NICE, section
    5.2). All channels of a pixel are hidden together.

    >>> known_pixels("bottom", (4, 2)).int().tolist()
    [[1, 1], [1, 1], [0, 0], [0, 0]]
    >>> known_pixels("random_75", (1, 8, 8)).sum()
    tensor(16)
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {', '.join(REGIONS)}, got {region!r}")
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ShapeError(f"expected the shape of an image, (H, W) or (C, H, W), got {tuple(shape)}")
    height, width = shape[-2:]
    row, column = torch.arange(height)[:, None].expand(height, width), torch.arange(width).expand(height, width)
    if region.startswith("random"):
        hidden = torch.zeros(height * width, dtype=torch.bool)
        count = round(int(region[-2:]) / 100 * height * width)
        hidden[torch.randperm(height * width, generator=generator)[:count]] = True
        hidden = hidden.reshape(height, width)
    else:
        above, beside = (height + 2) // 4, (width + 2) // 4
        hidden = {
            "top": row < height // 2,
            "bottom": row >= height // 2,
            "left": column < width // 2,
            "right": column >= width // 2,
            "even": (row * width + column) % 2 == 0,
            "odd": (row * width + column) % 2 == 1,
            "middle_rows": (row >= above) & (row < height - above),
            "middle_columns": (column >= beside) & (column < width - beside),
        }[region]
    return (~hidden).expand(tuple(shape)).clone()


def inpaint(flow, x, known, steps=100, starts=4, lr=0.05, context=None, bounds=(0.0, 1.0), generator=None):
    """Return x (B, *event_shape) with its unknown entries set to the likeliest that ``starts`` climbs have found.

    ``known`` is bool, True where x is given; it broadcasts to x, and those entries come back bit for bit. What x holds
    elsewhere plays no part. The climbs begin at samples of the flow, the likeliest ``starts`` of ten times as many once
    x's known entries are in place. Adam follows the gradient of log p(x), its step falling from ``lr`` to 0 along half
    a cosine: it has a length of its own in every pixel, where the paper's one length for all is too long for steep
    pixels and too short for flat ones. For each image the likeliest point of all climbs is kept. Entries stay within
    ``bounds``; None leaves them free, for data that are no pixels.

    A flow that starts with ``Dequantize`` takes and returns integers; the climb is in its continuous coordinates.
    Neither the flow nor its gradients change. ``context`` (B, ...) goes along. ``generator`` makes it repeatable.

    >>> from nvpkit.models import nice
    >>> x = torch.rand(3, 4)
    >>> filled = inpaint(nice(4), x, torch.tensor([True, True, False, False]), steps=5)
    >>> torch.equal(filled[:, :2], x[:, :2])
    True
    """
    if starts < 1 or not lr > 0:
        raise ValueError(f"starts must be at least 1 and lr positive, got {starts} and {lr}")
    work = _Inpainting(flow, x, known, steps, context, bounds)
    with evaluating(flow):
        best, best_log_prob = work.likeliest_samples(starts, generator)
        y, mean, square = best, torch.zeros_like(best), torch.zeros_like(best)
        for i in range(steps + 1):
            log_prob, slope = work.slope(y, starts)
            higher = log_prob > best_log_prob
            best = torch.where(higher.reshape(-1, *[1] * (y.ndim - 1)), y, best)
            best_log_prob = torch.where(higher, log_prob, best_log_prob)
            mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
            step = lr * 0.5 * (1 + math.cos(math.pi * i / steps))
            scaled = mean / (1 - 0.9 ** (i + 1)) / ((square / (1 - 0.99 ** (i + 1))).sqrt() + 1e-8)
            y = work.merge(y + step * scaled, starts)
    winner = best_log_prob.reshape(starts, len(x)).argmax(0)
    return work.finish(best.reshape(starts, *x.shape)[winner, torch.arange(len(x), device=x.device)])


def inpaint_nice(flow, x, known, steps=200, scale=1.0, context=None, bounds=(0.0, 1.0), generator=None):
    """Return x with its unknown entries moved by NICE's schedule (NICE, section 5.2).

    x_H <- clip(x_H + a_i (d log p / d x_H + eps)), a_i = 10 / (100 + i), eps standard normal. The climb starts from
    what x holds at the unknown entries. ``scale`` multiplies a_i: the paper's own step overshoots on a flow with a
    steep density. The rest as in ``inpaint``, which climbs higher.

    >>> from nvpkit.models import nice
    >>> inpaint_nice(nice(4), torch.rand(3, 4), torch.tensor([True, True, False, False]), steps=5).shape
    torch.Size([3, 4])
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    work = _Inpainting(flow, x, known, steps, context, bounds)
    y = work.start
    with evaluating(flow):
        for i in range(steps):
            _, slope = work.slope(y, 1)
            noise = torch.randn(y.shape, generator=generator, dtype=y.dtype, device=y.device)
            y = work.merge(y + scale * 10 / (100 + i) * (slope + noise), 1)
    return work.finish(y)


class _Inpainting:
    """What both climbs share: the continuous image, its known entries, and the slope of the log-likelihood."""

    def __init__(self, flow, x, known, steps, context, bounds):
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be an integer of at least 1, got {steps!r}")
        if not isinstance(known, torch.Tensor) or known.dtype != torch.bool:
            raise ValueError(f"known must be a bool tensor, True where a pixel is given, got {_kind(known)}")
        try:
            known = known.to(x.device).expand(x.shape)
        except RuntimeError as error:
            raise ShapeError(f"known of shape {tuple(known.shape)} does not fit x {tuple(x.shape)}") from error
        self.x, self.known, self.context = x, known, context
        self.front, self.rest = continuous(flow)
        with torch.no_grad(), evaluating(flow):
            flow.log_prob(x, context)  # the door checks shape, dtype, range and context
        if self.front is None:
            self.bounds, self.start = bounds, x
            if bounds is not None and bool(((x < bounds[0]) | (x > bounds[1]))[known].any()):
                raise ValueError(
                    f"known entries of x lie outside {bounds[0]:g} to {bounds[1]:g}: rescale the pixels, or give "
                    "bounds=None for data that are no pixels"
                )
        else:
            # The middle of each pixel's cell.
            self.bounds, self.start = (0.0, 1.0), (x.to(flow.dtype) + 0.5) / self.front.levels
        self.start = self.start.detach()

    def repeated_context(self, times):
        return repeated(self.context, times)

    @torch.no_grad()
    def likeliest_samples(self, starts, generator, rounds=10):
        """For each image the ``starts`` likeliest of ``rounds`` times as many samples, known entries in place."""
        context, shape = self.repeated_context(starts), self.x.shape
        drawn = [
            self.merge(self.rest.sample(starts * len(self.x), context, generator=generator), starts)
            for _ in range(rounds)
        ]
        log_prob = torch.cat([self.rest.log_prob(y, context).reshape(starts, -1) for y in drawn])
        log_prob, which = log_prob.topk(starts, dim=0)
        images = torch.cat([y.reshape(starts, *shape) for y in drawn])
        chosen = images[which, torch.arange(shape[0], device=which.device)]
        return chosen.flatten(0, 1), log_prob.flatten()

    def slope(self, y, times):
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            log_prob = self.rest.log_prob(y, self.repeated_context(times))
            (slope,) = torch.autograd.grad(log_prob.sum(), y)
        return log_prob.detach(), slope

    def merge(self, y, times):
        """Known entries as given, the others within the bounds."""
        y = y if self.bounds is None else y.clamp(*self.bounds)
        start = self.start.repeat(times, *[1] * (y.ndim - 1))
        return torch.where(self.known.repeat(times, *[1] * (y.ndim - 1)), start, y)

    def finish(self, y):
        if self.front is not None:
            y = self.front.inverse(y)[0]
        return torch.where(self.known, self.x, y.to(self.x.dtype))


def _kind(value):
    return f"dtype {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
