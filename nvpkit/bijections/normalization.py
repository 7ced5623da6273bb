"""Layers that keep the data at zero mean and unit variance between couplings."""

import torch
from torch import nn

from nvpkit.bijections.base import Bijection, check_count, check_features, check_image


class ActNorm(Bijection):
    """z = exp(log_scale) x + shift with learned numbers for each dimension, channel or entry (Glow, section 3.1).

    ``num_features`` is D for vectors (B, D), or C for images (B, C, H, W), which share one scale and shift over all
    pixels of a channel; a tuple (C, H, W) gives every pixel its own. ``log_det`` is the sum of log_scale over all
    entries: H W times the channels' sum for images. ``initialise(x)`` sets the parameters so that z has zero mean and
    unit variance; in training mode the first batch of at least two values for each feature does that by itself, save
    under ``torch.compile`` and graph capture, and not once the layer was inverted: samples and density belong to one
    layer. After that the parameters are learned like any other.

    >>> import torch
    >>> layer = ActNorm(2)
    >>> z, log_det = layer(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    >>> z.mean(0).abs() < 1e-6, z.std(0, correction=0), bool(layer.initialised)
    (tensor([True, True]), tensor([1.0000, 1.0000], grad_fn=<...>), True)
    """

    def __init__(self, num_features):
        super().__init__()
        shape = (num_features,) if isinstance(num_features, int) else tuple(num_features)
        if len(shape) not in (1, 3) or not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(f"num_features must be a positive integer or a shape (C, H, W), got {num_features!r}")
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.register_buffer("initialised", torch.tensor(False))
        # What the buffer said last: reading a buffer on a GPU at every call would make the host wait for it.
        self._is_initialised = False

    def forward(self, x, context=None):
        if self.training and not self._is_initialised:
            self._initialise_once(x)
        log_scale, shift = self._like(x)
        return torch.addcmul(shift, x, log_scale.exp()), self._log_det(x)

    def inverse(self, z, context=None):
        if self.training and not self._is_initialised and not torch.compiler.is_compiling():
            self._is_initialised = True  # who has sampled from the layer meets the same layer in its density
        log_scale, shift = self._like(z)
        return (z - shift) * (-log_scale).exp(), -self._log_det(z)

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Set scale and shift from x: a feature that never changes keeps its scale. ValueError below two values."""
        self._like(x)
        dims = _all_but_features(x, self.shift)
        if x.numel() < 2 * self.shift.numel():
            raise ValueError(f"ActNorm.initialise needs at least two values for each feature, got {tuple(x.shape)}")
        var, mean = torch.var_mean(x, dims, correction=0)
        # The variance of a constant is rounding noise, and one over it is no scale.
        changes = var.sqrt() > 4 * torch.finfo(x.dtype).eps * mean.abs()
        self.log_scale.copy_(torch.where(changes, -0.5 * var.clamp_min(torch.finfo(x.dtype).tiny).log(), 0.0))
        self.shift.copy_(-mean * self.log_scale.exp())
        self.initialised.fill_(True)
        self._is_initialised = True

    def _initialise_once(self, x):
        if torch.compiler.is_compiling() or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
            return
        if not self.initialised and x.numel() >= 2 * self.shift.numel():
            self.initialise(x.detach())
        self._is_initialised = bool(self.initialised)

    def _like(self, x):
        """The parameters in a shape that broadcasts over x; ShapeError when x is not what the layer was made for."""
        if self.shift.ndim == 3:
            check_image(x, self.shift.shape, "ActNorm")
            return self.log_scale, self.shift
        check_features(x, len(self.shift), "ActNorm")
        return _beside(self.log_scale, x), _beside(self.shift, x)

    def _log_det(self, x):
        total = self.log_scale.sum()
        if x.ndim == 4 and self.shift.ndim == 1:
            total = total * (x.shape[2] * x.shape[3])
        return total.expand(len(x))

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self._is_initialised = False

    def extra_repr(self):
        return f"dim={len(self.shift)}" if self.shift.ndim == 1 else f"shape={tuple(self.shift.shape)}"


class BatchNorm(Bijection):
    """z = (x - m) / sqrt(v + eps) exp(log_gamma) + beta with statistics m, v for each dimension or channel.

    The layer of Real NVP, section 3.7, in the form of MAF, equation 19. Vectors (B, D) or images (B, C, H, W).

    Training: m and v are mean and biased variance of the batch, gradients flow through both, and the running
    statistics move by ``momentum`` towards them (PyTorch's meaning; nn.BatchNorm's running_var is N / (N - 1) times
    this one). ``inverse`` uses the statistics of the last batch that went forward, the running ones before any. Fewer
    than two values for each feature raise ValueError. Evaluation: running statistics both ways, and no buffer changes.

    ``log_det`` is the sum of log_gamma - log(v + eps) / 2 over all entries, H W times the channels' sum for images: the
    density of one point takes the statistics as constants. ``initialise(x)`` sets the running statistics to those of
    x, which may be the whole training set.

    >>> import torch
    >>> layer = BatchNorm(2)
    >>> z, log_det = layer(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    >>> z, layer.running_mean
    (tensor([[-1.0000, -1.0000],
             [ 1.0000,  1.0000]], grad_fn=<...>), tensor([0.2000, 2.0000]))
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        check_count("num_features", num_features)
        if not eps > 0 or not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm needs eps > 0 and momentum in [0, 1], got eps={eps!r}, momentum={momentum!r}")
        self.eps, self.momentum = eps, momentum
        self.log_gamma = nn.Parameter(torch.zeros(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("last_mean", torch.zeros(num_features), persistent=False)
        self.register_buffer("last_var", torch.ones(num_features), persistent=False)
        self._has_last = False

    def forward(self, x, context=None):
        check_features(x, len(self.beta), "BatchNorm")
        mean, var = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
        scale = self.log_gamma.exp() * (var + self.eps).rsqrt()
        z = torch.addcmul(_beside(self.beta, x), x - _beside(mean, x), _beside(scale, x))
        return z, self._log_det(x, var)

    def inverse(self, z, context=None):
        check_features(z, len(self.beta), "BatchNorm")
        use_last = self.training and self._has_last
        mean, var = (self.last_mean, self.last_var) if use_last else (self.running_mean, self.running_var)
        scale = (-self.log_gamma).exp() * (var + self.eps).sqrt()
        x = torch.addcmul(_beside(mean, z), z - _beside(self.beta, z), _beside(scale, z))
        return x, -self._log_det(z, var)

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Set the running statistics to those of x; ValueError below two values for each feature."""
        check_features(x, len(self.beta), "BatchNorm")
        mean, var = self._statistics(x)
        self.running_mean.copy_(mean)
        self.running_var.copy_(var)

    def _batch_statistics(self, x):
        mean, var = self._statistics(x)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
            self.last_mean.copy_(mean)
            self.last_var.copy_(var)
        self._has_last = True
        return mean, var

    def _statistics(self, x):
        if x.numel() < 2 * len(self.beta):
            raise ValueError(
                f"BatchNorm in training mode needs at least two values for each feature, got shape {tuple(x.shape)}"
            )
        var, mean = torch.var_mean(x, _all_but_features(x, self.beta), correction=0)
        return mean, var

    def _log_det(self, x, var):
        pixels = x.shape[2] * x.shape[3] if x.ndim == 4 else 1
        return ((self.log_gamma - 0.5 * (var + self.eps).log()).sum() * pixels).expand(len(x))

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self._has_last = False

    def extra_repr(self):
        return f"dim={len(self.beta)}, eps={self.eps}, momentum={self.momentum}"


def _beside(feature, x):
    """Values (C,) in a shape that broadcasts over vectors (B, C) or images (B, C, H, W)."""
    return feature if x.ndim == 2 else feature[:, None, None]


def _all_but_features(x, parameter):
    """The dimensions that statistics run over."""
    return (0,) if x.ndim == 2 or parameter.ndim == 3 else (0, 2, 3)
