"""From integer pixels to real numbers: the first two layers of a flow on images."""

import math

import torch
from torch.nn.functional import logsigmoid

from nvpkit.bijections.base import Bijection, check_count


class Dequantize(Bijection):
    """Integers 0..levels-1 to [0, 1]: z = (x + u) / levels with noise u on (0, 1), fresh at every call.

    u is uniform, or drawn from ``q``: a module with ``q(x) -> (u, log_q (B,))`` and ``q.log_prob(u, x)``, such as
    ``VariationalNoise``. ``log_det`` is -D ln(levels) - log q(u | x) for D entries, and log q is 0 when uniform. With
    this layer first, a flow's ``log_prob`` is a lower bound of the log-mass of the integer image (Jensen), tight when q
    is the flow's own density within the pixel's cell. ``inverse`` returns the integer, as float, of the cell that z
    lies in, clamped to 0..levels-1. Integer input gives results in the layer's own dtype (``.double()`` changes it),
    float input keeps its dtype. The noise comes from the global generator unless ``noise``, uniform on (0, 1) and of
    x's shape, is given.

    >>> import torch
    >>> layer = Dequantize(levels=17)
    >>> x = torch.tensor([[0, 16, 3]])
    >>> z, log_det = layer(x)
    >>> torch.equal(layer.inverse(z)[0], x.float()), round(log_det.item(), 3)
    (True, -8.5)
    """

    def __init__(self, levels=256, q=None):
        super().__init__()
        check_count("levels", levels, least=2)
        self.levels = levels
        self.q = q
        # An empty buffer that .double() and .to() change: it says in which dtype integers come out.
        self.register_buffer("like", torch.empty(0), persistent=False)

    def forward(self, x, context=None, noise=None):
        x = x if x.is_floating_point() else x.to(self.like.dtype)
        edge, log_det = self._edge(x), self._log_det(x, -1)
        if self.q is None:
            u = torch.rand_like(x) if noise is None else noise.to(x.dtype)
            return (x + u.clamp(edge, 1 - edge)) / self.levels, log_det
        u, log_q = self.q(x) if noise is None else self.q(x, noise.to(x.dtype))
        # A learned density must not pile up at a clamp: it is drawn in a little, which its log-density counts.
        return (x + edge + (1 - 2 * edge) * u) / self.levels, log_det - log_q + self._drawn_in(x, edge)

    def inverse(self, z, context=None):
        x = (z * self.levels).floor().clamp(0, self.levels - 1)
        log_det = self._log_det(z, 1)
        if self.q is None:
            return x, log_det
        edge = self._edge(z)
        u = (z * self.levels - x - edge) / (1 - 2 * edge)
        return x, log_det + self.q.log_prob(u.clamp(edge, 1 - edge), x) - self._drawn_in(z, edge)

    def _edge(self, x):
        # Rounding must not carry x + u into the neighbouring cell, or the inverse would return another integer.
        return 2 * self.levels * torch.finfo(x.dtype).eps

    def _drawn_in(self, x, edge):
        return math.log1p(-2 * edge) * math.prod(x.shape[1:])

    def _log_det(self, x, sign):
        return x.new_full((len(x),), sign * math.log(self.levels) * math.prod(x.shape[1:]))

    def check_input(self, x):
        """Raise ValueError unless x holds integers 0..levels-1."""
        low, high = x.min().item(), x.max().item()
        if low < 0 or high > self.levels - 1:
            raise ValueError(
                f"Dequantize(levels={self.levels}) expects integers 0..{self.levels - 1}, got values from {low:g} to "
                f"{high:g}: give it the stored integers, not rescaled pixels"
            )
        if x.is_floating_point() and not bool((x == x.round()).all()):
            raise ValueError(
                f"Dequantize(levels={self.levels}) expects integers 0..{self.levels - 1}, got fractions: give it the "
                "stored integers, not rescaled or already dequantised pixels"
            )

    def extra_repr(self):
        return f"levels={self.levels}"


class Logit(Bijection):
    """z = logit(alpha + (1 - 2 alpha) x): from [0, 1] to all real numbers (Real NVP, section 4.1).

    ``log_det`` is D ln(1 - 2 alpha) + sum of softplus(z) + softplus(-z) over the D entries, for vectors and images.
    0 < alpha < 1/2 keeps z finite at x = 0 and x = 1. ``inverse`` takes any z, and gives values that lie up to
    alpha / (1 - 2 alpha) outside [0, 1].

    >>> import torch
    >>> z, log_det = Logit()(torch.tensor([[0.0, 0.5, 1.0]]))
    >>> z
    tensor([[-2.9444,  0.0000,  2.9444]])
    """

    def __init__(self, alpha=0.05):
        super().__init__()
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 0.5:
            raise ValueError(f"alpha must lie between 0 and 1/2, got {alpha!r}")
        self.alpha = alpha

    def forward(self, x, context=None):
        # p and 1 - p are each made from the end that is near, so neither is a difference of two equal numbers.
        slope = 1 - 2 * self.alpha
        log_p, log_q = (self.alpha + slope * x).log(), (self.alpha + slope * (1 - x)).log()
        return log_p - log_q, self._constant(x) - (log_p + log_q).flatten(1).sum(1)

    def inverse(self, z, context=None):
        x = (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return x, (logsigmoid(z) + logsigmoid(-z)).flatten(1).sum(1) - self._constant(z)

    def _constant(self, x):
        return math.log(1 - 2 * self.alpha) * math.prod(x.shape[1:])

    def check_input(self, x):
        """Raise ValueError unless x lies in the open interval that ``inverse`` maps onto, which holds [0, 1]."""
        reach = self.alpha / (1 - 2 * self.alpha)
        low, high = x.min().item(), x.max().item()
        if not -reach < low <= high < 1 + reach:
            raise ValueError(
                f"Logit(alpha={self.alpha}) expects values in [0, 1], got values from {low:g} to {high:g}: "
                "integer images need Dequantize(levels) before it"
            )

    def extra_repr(self):
        return f"alpha={self.alpha}"
