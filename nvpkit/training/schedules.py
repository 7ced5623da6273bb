"""How the learning rate goes: a linear warm-up, then the curve of the chosen name."""

import math

SCHEDULES = {
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
    "constant": lambda share: 1.0,
}


def factor(schedule, step, steps, warm_up=None):
    """Return the factor on lr at ``step`` (0 .. steps - 1).

    ``schedule`` is a name of ``SCHEDULES`` or a function of the share (0 .. 1) of the steps that follow the warm-up.
    ``warm_up`` counts steps; by default it is a tenth of all, 100 at most.

    >>> [round(factor("cosine", step, 1000), 2) for step in (0, 99, 550, 999)]
    [0.01, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, min(100, steps // 10)) if warm_up is None else warm_up
    if step < warm_up:
        return (step + 1) / warm_up
    curve = schedule if callable(schedule) else SCHEDULES[schedule]
    return curve((step - warm_up) / max(1, steps - warm_up))
