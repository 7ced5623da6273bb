"""A flow: a bijection from data to latent space, and a simple density there."""

from numbers import Integral

import torch
from torch import nn

from nvpkit.errors import ShapeError


class Flow(nn.Module):
    """The density p(x) = p_Z(f(x)) |det df/dx| for a bijection f and a base density p_Z (change of variables).

    ``event_shape`` is the shape of one data point; it is the base's shape unless given. Data of a wrong shape, an
    empty batch, NaN or another float dtype is turned back here, once, with a message: ShapeError or ValueError. Under
    ``torch.compile`` and graph capture these checks are off. Integer data is turned into the flow's own dtype.

    >>> import torch
    >>> from nvpkit.bijections import Scaling
    >>> from nvpkit.distributions import standard_normal
    >>> flow = Flow(Scaling(2), standard_normal(2))
    >>> flow.log_prob(torch.zeros(1, 2)).shape, flow.sample(5).shape
    (torch.Size([1]), torch.Size([5, 2]))
    """

    def __init__(self, bijection, base, event_shape=None):
        super().__init__()
        self.bijection = bijection
        self.base = base
        self.event_shape = tuple(base.event_shape if event_shape is None else event_shape)

    def forward(self, x, context=None):
        """Map data x (B, *event_shape) to (z, log_det (B,))."""
        return self.bijection(self._enter(x, context, self.event_shape, "x", is_data=True), context)

    def inverse(self, z, context=None):
        """Map latent z (B, ...) to (x, log_det (B,))."""
        return self.bijection.inverse(self._enter(z, context, self.base.event_shape, "z"), context)

    def log_prob(self, x, context=None):
        """Return log p(x) in nats, shape (B,): log p_Z(z) + log|det dz/dx|."""
        z, log_det = self(x, context)
        return self.base.log_prob(z) + log_det

    @torch.no_grad()
    def sample(self, n, context=None, temperature=1.0, generator=None):
        """Return n samples (n, *event_shape); the latent draws are multiplied by ``temperature``.

        ``context`` has n rows. ``generator`` must live on the flow's device.
        """
        x, _ = self.bijection.inverse(temperature * self._draw(n, context, generator), context)
        return x

    def sample_and_log_prob(self, n, context=None, generator=None):
        """Return n samples and their log-density; gradients reach the parameters through both."""
        z = self._draw(n, context, generator)
        x, log_det = self.bijection.inverse(z, context)
        return x, self.base.log_prob(z) - log_det

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Let the layers set themselves from a batch of data x (B, *event_shape); returns the flow."""
        self.bijection.initialise(self._enter(x, context, self.event_shape, "x", is_data=True), context)
        return self

    @property
    def dtype(self):
        """The float dtype that results have."""
        tensors = (t for group in (self.parameters(), self.buffers()) for t in group if t.is_floating_point())
        return next(tensors, torch.empty(0)).dtype

    def _draw(self, n, context, generator):
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"the number of samples must be an integer of at least 1, got {n!r}")
        if context is not None and len(context) != n:
            raise ShapeError(f"{n} samples need a context of {n} rows, got shape {tuple(context.shape)}")
        return self.base.sample(n, generator=generator)

    def _enter(self, x, context, event_shape, name, is_data=False):
        """Check what comes in at the door; integers leave in the flow's dtype."""
        if torch.compiler.is_compiling():
            return x if x.is_floating_point() else x.to(self.dtype)
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}: use torch.as_tensor")
        if tuple(x.shape[1:]) != tuple(event_shape) or x.ndim == 0:
            expected = ", ".join(["B", *map(str, event_shape)])
            raise ShapeError(f"expected {name} of shape ({expected}), got {tuple(x.shape)}")
        if len(x) == 0:
            raise ShapeError(f"expected at least one sample, got an empty batch of shape {tuple(x.shape)}")
        if context is not None and len(context) != len(x):
            raise ShapeError(f"{len(x)} samples need a context of {len(x)} rows, got shape {tuple(context.shape)}")
        if x.is_complex():
            raise ValueError(f"expected real {name}, got {x.dtype}")
        dtype = self.dtype
        if x.is_floating_point() and x.dtype != dtype:
            raise ValueError(f"the flow is {dtype}, {name} is {x.dtype}: call flow.to({x.dtype}) or {name}.to({dtype})")
        if not (x.is_cuda and torch.cuda.is_current_stream_capturing()):
            if x.is_floating_point() and not bool(torch.isfinite(x.detach()).all()):
                raise ValueError(f"{name} holds NaN or infinite values: row {int(_first_bad(x))} is the first")
            if is_data:
                self.bijection.check_input(x)
        return x if x.is_floating_point() else x.to(dtype)


def _first_bad(x):
    return (~torch.isfinite(x.detach())).flatten(1).any(1).int().argmax()
