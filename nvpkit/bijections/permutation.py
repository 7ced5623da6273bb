"""Reordering: volume stays, and the next coupling moves other entries."""

import torch

from nvpkit.bijections.base import Bijection, check_count, check_features


class Permutation(Bijection):
    """z[:, i] = x[:, order[i]] for vectors (B, D) or the channels of images (B, C, H, W); log_det is 0.

    ``order`` holds each of 0..D-1 once: ``torch.randperm(D)`` gives a random one, which is saved with the layer. Raises
    ValueError for anything else.

    >>> import torch
    >>> Permutation([2, 0, 1])(torch.tensor([[10, 20, 30]]))[0]
    tensor([[30, 10, 20]])
    """

    def __init__(self, order):
        super().__init__()
        order = torch.as_tensor(order).detach().clone()
        if order.ndim != 1 or len(order) == 0 or not torch.equal(order.sort().values.cpu(), torch.arange(len(order))):
            raise ValueError(f"order must hold each of 0..D-1 once, got {order.tolist()}")
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    def forward(self, x, context=None):
        check_features(x, len(self.order), "Permutation")
        return x.index_select(1, self.order), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        check_features(z, len(self.order), "Permutation")
        return z.index_select(1, self.back), z.new_zeros(len(z))

    def extra_repr(self):
        return f"dim={len(self.order)}"


class Flip(Bijection):
    """Reverse the order of the entries of vectors (B, D) or of the channels of images (B, C, H, W); log_det is 0.

    >>> import torch
    >>> Flip(3)(torch.tensor([[10, 20, 30]]))[0]
    tensor([[30, 20, 10]])
    """

    def __init__(self, dim):
        super().__init__()
        check_count("dim", dim)
        self.dim = dim

    def forward(self, x, context=None):
        check_features(x, self.dim, "Flip")
        return x.flip(1), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        return self.forward(z)

    def extra_repr(self):
        return f"dim={self.dim}"
