"""Learned noise for dequantisation (Flow++, Ho et al. 2019, section 3.1)."""

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from nvpkit.bijections.base import Chain, check_count, check_image
from nvpkit.bijections.coupling import AffineCoupling
from nvpkit.bijections.masks import alternating_mask, checkerboard_mask
from nvpkit.bijections.squeeze import Squeeze
from nvpkit.nets import ConvResNet


class VariationalNoise(nn.Module):
    """A density q(u | x) on (0, 1)^D for the noise that is added to an integer image x (B, C, H, W).

    Uniform noise asks of a flow that it be flat within each pixel's cell. Most pixels of a digit are 0, and a smooth
    density is not flat there; noise from a density of its own, which the bound pays for with
    -log q, lets the flow be smooth. Here u is the sigmoid of a conditional flow of logistic noise: affine couplings
    that see features of x. The untrained q is the uniform density. ``shape`` is (C, H, W); with even sides everything
    runs on the squeezed image, at half the height and width.

    ``q(x)`` returns u of x's shape and log q(u | x) (B,); ``q.log_prob(u, x)`` is the density of any u inside (0, 1).
    ``noise``, uniform on (0, 1) and of x's shape, fixes the draw.

    >>> import torch
    >>> q = VariationalNoise((1, 4, 4), width=4)
    >>> u, log_q = q(torch.zeros(3, 1, 4, 4))
    >>> u.shape, log_q.abs().max() < 1e-5
    (torch.Size([3, 1, 4, 4]), tensor(True))
    """

    def __init__(self, shape, levels=256, width=32, n_blocks=1, n_couplings=4):
        super().__init__()
        check_count("levels", levels, least=2)
        check_count("n_couplings", n_couplings)
        self.shape, self.levels = tuple(shape), levels
        channels, height, width_of_image = self.shape
        self.squeeze = Squeeze() if height % 2 == width_of_image % 2 == 0 else None
        if self.squeeze is None:
            masks = [checkerboard_mask(height, width_of_image, i % 2) for i in range(n_couplings)]
        else:
            channels *= 4
            halves = [torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(channels // 4), alternating_mask(channels)]
            # Checkerboard and columns in turn, each with its other half.
            masks = [halves[i // 2 % 2] if i % 2 == 0 else 1 - halves[i // 2 % 2] for i in range(n_couplings)]
            masks = [mask[:, None, None] for mask in masks]
        self.features = ConvResNet(channels, width, width, n_blocks, skips=False)
        settings = {"context_dim": width, "zero_last": True, "skips": False}
        nets = [ConvResNet(channels, 2 * channels, width, n_blocks, **settings) for _ in masks]
        self.flow = Chain(AffineCoupling(mask, net) for mask, net in zip(masks, nets))

    def forward(self, x, noise=None):
        noise = torch.rand_like(x) if noise is None else noise
        inside = torch.finfo(x.dtype).eps
        start = torch.logit(self._enter(noise).clamp(inside, 1 - inside))
        y, log_det = self.flow(start, self._features(x))
        # Far out the sigmoid rounds to 0 or 1, which are not inside.
        u = torch.sigmoid(y).clamp(torch.finfo(y.dtype).tiny, 1 - inside / 2)
        return self._leave(u), (_log_slope(start) - _log_slope(y)).flatten(1).sum(1) - log_det

    def log_prob(self, u, x):
        """Return log q(u | x), shape (B,), for u (B, C, H, W) inside (0, 1)."""
        y = torch.logit(self._enter(u))
        start, log_det = self.flow.inverse(y, self._features(x))
        return (_log_slope(start) - _log_slope(y)).flatten(1).sum(1) + log_det

    def _features(self, x):
        return torch.relu(self.features(self._enter(x) * (2 / (self.levels - 1)) - 1))

    def _enter(self, x):
        check_image(x, self.shape, "VariationalNoise")
        return x if self.squeeze is None else self.squeeze(x)[0]

    def _leave(self, z):
        return z if self.squeeze is None else self.squeeze.inverse(z)[0]


def _log_slope(y):
    """Log of the sigmoid's derivative, which is also the logistic log-density."""
    return logsigmoid(y) + logsigmoid(-y)
