"""A flow: a bijection from data to latent space, and a simple density there."""

import math
from contextlib import contextmanager
from numbers import Integral

import torch
from torch import nn
from torch.distributions import Distribution, constraints

from nvpkit.bijections import Dequantize
from nvpkit.errors import ShapeError


class Flow(nn.Module):
    """The density p(x) = p_Z(f(x)) |det df/dx| for a bijection f and a base density p_Z (change of variables).

    ``event_shape`` is the shape of one data point; it is the base's shape unless given. Data of a wrong shape, an
    empty batch, NaN or another float dtype is turned back here, once, with a message: ShapeError or ValueError. Under
    ``torch.compile``, graph capture and ``trusted()`` these checks are off. Integer data is turned into the flow's own
    dtype. ``config`` is what a builder was called with: {"model": name, "settings": {...}}; ``save_flow`` writes it.

    >>> import torch
    >>> from nvpkit.bijections import Scaling
    >>> from nvpkit.distributions import standard_normal
    >>> flow = Flow(Scaling(2), standard_normal(2))
    >>> flow.log_prob(torch.zeros(1, 2)).shape, flow.sample(5).shape
    (torch.Size([1]), torch.Size([5, 2]))
    """

    config = None

    def __init__(self, bijection, base, event_shape=None):
        super().__init__()
        self.bijection = bijection
        self.base = base
        self.event_shape = tuple(base.event_shape if event_shape is None else event_shape)
        self._trusts = False

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
        if not (math.isfinite(temperature) and temperature >= 0):
            raise ValueError(f"temperature is a finite factor of at least 0, got {temperature!r}")
        z = self._draw(n, context, generator)
        return self.bijection.inverse(z if temperature == 1 else temperature * z, context)[0]

    def sample_and_log_prob(self, n, context=None, generator=None):
        """Return n samples and their log-density; gradients reach the parameters through both."""
        z = self._draw(n, context, generator)
        x, log_det = self.bijection.inverse(z, context)
        return x, self.base.log_prob(z) - log_det

    def as_distribution(self, context=None):
        """Return this flow as a torch.distributions object; with a context (..., W), one for each of its rows.

        >>> from nvpkit.models import nice
        >>> nice(2).as_distribution().sample((3, 4)).shape
        torch.Size([3, 4, 2])
        """
        return FlowDistribution(self, context)

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Let the layers set themselves from a batch of data x (B, *event_shape); returns the flow."""
        self.bijection.initialise(self._enter(x, context, self.event_shape, "x", is_data=True), context)
        return self

    def check(self, x, context=None):
        """Raise ShapeError, ValueError or TypeError where x cannot be this flow's data, as ``log_prob`` would."""
        self._enter(x, context, self.event_shape, "x", is_data=True)

    @contextmanager
    def trusted(self):
        """Let data in unseen for a while: a training looks once at all of them, and need not wait at every step."""
        before, self._trusts = self._trusts, True
        try:
            yield self
        finally:
            self._trusts = before

    @property
    def dtype(self):
        """The float dtype that results have."""
        return self._like.dtype

    @property
    def device(self):
        """The device that the flow is on."""
        return self._like.device

    @property
    def _like(self):
        tensors = (t for group in (self.parameters(), self.buffers()) for t in group if t.is_floating_point())
        return next(tensors, torch.empty(0))

    @property
    def levels(self):
        """The number of grey levels of a flow on integers (it holds a ``Dequantize``), None for one on real numbers."""
        return next((part.levels for part in self.bijection.modules() if isinstance(part, Dequantize)), None)

    def _draw(self, n, context, generator):
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"the number of samples must be an integer of at least 1, got {n!r}")
        if context is not None:
            self._check_context(context, n)
        return self.base.sample(n, generator=generator)

    def _enter(self, x, context, event_shape, name, is_data=False):
        """Check what comes in at the door; integers leave in the flow's dtype."""
        if torch.compiler.is_compiling() or self._trusts:
            return x if x.is_floating_point() else x.to(self.dtype)
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}: use torch.as_tensor")
        if tuple(x.shape[1:]) != tuple(event_shape) or x.ndim == 0:
            expected = ", ".join(["B", *map(str, event_shape)])
            raise ShapeError(f"expected {name} of shape ({expected}), got {tuple(x.shape)}")
        if len(x) == 0:
            raise ShapeError(f"expected at least one sample, got an empty batch of shape {tuple(x.shape)}")
        if context is not None:
            self._check_context(context, len(x))
        if x.is_complex():
            raise ValueError(f"expected real {name}, got {x.dtype}")
        dtype = self.dtype
        if x.is_floating_point() and x.dtype != dtype:
            raise ValueError(f"the flow is {dtype}, {name} is {x.dtype}: call flow.to({x.dtype}) or {name}.to({dtype})")
        _check_finite(x, name)
        if is_data and not _is_capturing(x):
            self.bijection.check_input(x)
        return x if x.is_floating_point() else x.to(dtype)

    def _check_context(self, context, n):
        """Rows, dtype and values; its width is known to the nets, which name it themselves."""
        if torch.compiler.is_compiling() or self._trusts:
            return
        if not isinstance(context, torch.Tensor):
            raise TypeError(f"context must be a torch.Tensor, got {type(context).__name__}: use torch.as_tensor")
        if context.ndim < 2 or len(context) != n:
            raise ShapeError(f"{n} samples need a context of {n} rows, got shape {tuple(context.shape)}")
        if context.dtype != self.dtype:
            raise ValueError(f"the flow is {self.dtype}, context is {context.dtype}: call context.to({self.dtype})")
        _check_finite(context, "context")


class FlowDistribution(Distribution):
    """A flow behind the interface of torch.distributions: made by ``flow.as_distribution(context)``.

    Without a context the batch shape is (); a context (..., W) makes it the shape of its rows. ``expand`` repeats the
    flow, so that it can stand inside Independent, TransformedDistribution or MixtureSameFamily. ``rsample`` lets
    gradients through to the parameters and the context; flows on integers have ``sample`` only. The flow is used as it
    is: put it into eval mode first. There is no closed form for mean, variance, entropy or KL.

    >>> from nvpkit.models import nice
    >>> both = torch.distributions.Independent(nice(2).as_distribution().expand((3,)), 1)
    >>> both.log_prob(torch.zeros(3, 2))
    tensor(-8.3178, grad_fn=<...>)
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, flow, context=None, batch_shape=None):
        if context is not None and not isinstance(context, torch.Tensor):
            raise TypeError(f"context must be a torch.Tensor, got {type(context).__name__}: use torch.as_tensor")
        if context is not None and context.ndim == 0:
            raise ShapeError("expected context of shape (..., W), got ()")
        self.flow, self.context = flow, context
        rows = torch.Size() if context is None else context.shape[:-1]
        batch_shape = rows if batch_shape is None else torch.Size(batch_shape)
        super().__init__(batch_shape, torch.Size(flow.event_shape), validate_args=False)

    @property
    def has_rsample(self):
        return self.flow.levels is None

    @constraints.dependent_property(is_discrete=None, event_dim=None)
    def support(self):
        levels = self.flow.levels
        entries = constraints.real if levels is None else constraints.integer_interval(0, levels - 1)
        return constraints.independent(entries, len(self.event_shape))

    def expand(self, batch_shape, _instance=None):
        own, wanted = self.batch_shape, tuple(batch_shape)
        if len(own) > len(wanted) or any(n not in (1, m) for n, m in zip(reversed(own), reversed(wanted))):
            raise ShapeError(f"a batch of shape {tuple(self.batch_shape)} does not expand to {tuple(batch_shape)}")
        context = None if self.context is None else self.context.expand(*batch_shape, self.context.shape[-1])
        return FlowDistribution(self.flow, context, batch_shape)

    def rsample(self, sample_shape=()):
        if not self.has_rsample:
            raise ValueError("a flow on integers has no differentiable samples: use sample")
        return self._drawn(sample_shape)

    @torch.no_grad()
    def sample(self, sample_shape=()):
        return self._drawn(sample_shape)

    def _drawn(self, sample_shape):
        shape = self._extended_shape(torch.Size(sample_shape))
        rows = shape[: len(shape) - len(self.event_shape)]
        n = math.prod(rows)
        if n == 0:
            return torch.empty(shape, dtype=self.flow.dtype, device=self.flow.device)
        context = self._rows_of_context(rows)
        return self.flow.bijection.inverse(self.flow._draw(n, context, None), context)[0].reshape(shape)

    def log_prob(self, value):
        # The flow's own door looks at the values: torch's checks are off once anything was compiled.
        n_rows = value.ndim - len(self.event_shape)
        if n_rows < 0 or value.shape[n_rows:] != self.event_shape:
            expected = ", ".join(["...", *map(str, self.event_shape)])
            raise ShapeError(f"expected a value of shape ({expected}), got {tuple(value.shape)}")
        rows = torch.broadcast_shapes(value.shape[:n_rows], self.batch_shape)
        flat = value.expand(*rows, *self.event_shape).reshape(-1, *self.event_shape)
        return self.flow.log_prob(flat, self._rows_of_context(rows)).reshape(rows)

    def _rows_of_context(self, rows):
        return None if self.context is None else self.context.expand(*rows, -1).reshape(-1, self.context.shape[-1])


def _check_finite(x, name):
    if x.is_floating_point() and not _is_capturing(x) and not bool(torch.isfinite(x.detach()).all()):
        first = (~torch.isfinite(x.detach())).flatten(1).any(1).int().argmax()
        raise ValueError(f"{name} holds NaN or infinite values: row {int(first)} is the first")


def _is_capturing(x):
    return x.is_cuda and torch.cuda.is_current_stream_capturing()
