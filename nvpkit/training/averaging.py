"""The exponential moving average of the weights: smoother than the last ones, and often better on new data."""

from contextlib import contextmanager

import torch


class Average:
    """a <- d a + (1 - d) w for each of ``tensors``, with d = min(decay, (1 + t) / (10 + t)) at update t = 1, 2, ...

    The smaller d of the first updates lets the average forget the untrained weights.

    >>> w = torch.zeros(1)
    >>> average = Average([w], decay=0.5)
    >>> _ = w.fill_(4.0)
    >>> average.update(100)
    >>> with average.in_place():
    ...     w
    tensor([2.])
    >>> w
    tensor([4.])
    """

    def __init__(self, tensors, decay):
        self.tensors = [tensor.detach() for tensor in tensors]
        self.averages = [tensor.clone() for tensor in self.tensors]
        self.decay = decay

    @torch.no_grad()
    def update(self, t):
        """Take in the weights after step t, counted from 1."""
        torch._foreach_lerp_(self.averages, self.tensors, max(1 - self.decay, 9 / (10 + t)))

    @contextmanager
    def in_place(self):
        """Let the tensors hold their averages for a while."""
        present = [tensor.clone() for tensor in self.tensors]
        self.apply()
        try:
            yield
        finally:
            copy(self.tensors, present)

    def apply(self):
        """Put the averages into the tensors, unless one of them is not finite."""
        if all(bool(torch.isfinite(average).all()) for average in self.averages):
            copy(self.tensors, self.averages)


@torch.no_grad()
def copy(targets, sources):
    """Copy each tensor of ``sources`` into its fellow of ``targets``, in one call.

    >>> target = torch.zeros(2)
    >>> copy([target], [torch.ones(2)])
    >>> target
    tensor([1., 1.])
    """
    if targets:
        torch._foreach_copy_(targets, sources)
