"""Multi-scale architecture: half of the channels becomes latent early, the rest goes on (Real NVP, section 3.6)."""

import math

import torch

from nvpkit.bijections.base import Bijection, Chain, check_image, check_vector
from nvpkit.errors import ShapeError


class Split(Bijection):
    """Factor out the last half of the channels at once; the first half goes through ``rest`` (Real NVP, equation 14).

    Images (B, C, H, W) of ``shape`` (C, H, W) become one latent (B, D): the channels factored out first, then what
    ``rest`` makes of the others (nothing when None), both flattened. Of an odd number of channels the middle one goes
    on. Raises ShapeError for fewer than two channels.

    >>> import torch
    >>> layer = Split((2, 1, 2))
    >>> layer(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))
    (tensor([[3., 4., 1., 2.]]), tensor([0.]))
    """

    def __init__(self, shape, rest=None):
        super().__init__()
        channels, height, width = self.shape = tuple(shape)
        if channels < 2:
            raise ShapeError(f"Split needs at least 2 channels to factor out half of them, got shape {self.shape}")
        out = channels // 2
        self.channels = (channels - out, out)
        self.rest = rest
        going_on = (channels - out, height, width)
        self.rest_shape = going_on if rest is None else tuple(rest.output_shape(going_on))
        self.sizes = (out * height * width, math.prod(self.rest_shape))
        if sum(self.sizes) != math.prod(self.shape):
            raise ShapeError(f"the rest of a Split must keep {math.prod(going_on)} entries, got {self.rest_shape}")

    def forward(self, x, context=None):
        check_image(x, self.shape, "Split")
        going_on, out = x.split(self.channels, 1)
        z, log_det = (going_on, x.new_zeros(len(x))) if self.rest is None else self.rest(going_on, context)
        return torch.cat([out.flatten(1), z.flatten(1)], 1), log_det

    def inverse(self, z, context=None):
        check_vector(z, sum(self.sizes), "Split.inverse")
        out, rest = z.split(self.sizes, 1)
        going_on, log_det = rest.unflatten(1, self.rest_shape), z.new_zeros(len(z))
        if self.rest is not None:
            going_on, log_det = self.rest.inverse(going_on, context)
        return torch.cat([going_on, out.reshape(-1, self.channels[1], *self.shape[1:])], 1), log_det

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Initialise ``rest`` with the channels that go on."""
        if self.rest is not None:
            self.rest.initialise(x[:, : self.channels[0]], context)

    def output_shape(self, shape):
        return (sum(self.sizes),)

    def extra_repr(self):
        return f"shape={self.shape}, factored out={self.channels[1]} channels"


class MultiScale(Bijection):
    """Run ``scales`` one after the other, with half of the channels factored out after each but the last.

    ``shape`` (C, H, W) is that of the images. All parts together are one latent (B, D): factored-out parts first, in
    the order in which they leave, the last scale's output at the end. Raises ShapeError when the scales do not fit.

    >>> import torch
    >>> from nvpkit.bijections import Squeeze
    >>> layer = MultiScale([Squeeze(), Squeeze()], shape=(1, 4, 4))
    >>> z, log_det = layer(torch.arange(16.0).reshape(1, 1, 4, 4))
    >>> z.int().tolist()
    [[4, 6, 12, 14, 5, 7, 13, 15, 0, 2, 8, 10, 1, 3, 9, 11]]
    """

    def __init__(self, scales, shape):
        super().__init__()
        scales = list(scales)
        if not scales:
            raise ValueError("MultiScale needs at least one scale, got an empty list")
        self.shape = shape = tuple(shape)
        entering = []
        for scale in scales[:-1]:
            entering.append(scale.output_shape(shape))
            channels, height, width = entering[-1]
            shape = (channels - channels // 2, height, width)
        rest = scales[-1]
        for scale, split_shape in zip(reversed(scales[:-1]), reversed(entering)):
            rest = Chain([scale, Split(split_shape, rest)])
        self.scales = rest
        self.last_shape = tuple(rest.output_shape(self.shape))

    def forward(self, x, context=None):
        check_image(x, self.shape, "MultiScale")
        z, log_det = self.scales(x, context)
        return z.flatten(1), log_det

    def inverse(self, z, context=None):
        check_vector(z, math.prod(self.shape), "MultiScale.inverse")
        return self.scales.inverse(z.unflatten(1, self.last_shape), context)

    def initialise(self, x, context=None):
        """Initialise the scales in order, from the first 500 images: they hold enough pixels, and more cost minutes."""
        self.scales.initialise(x[:500], None if context is None else context[:500])

    def output_shape(self, shape):
        return (math.prod(self.shape),)
