"""Histogram equalisation as a layer: grey levels that are frequent get room, rare ones give it."""

import torch

from nvpkit.bijections.base import Bijection

# Every level keeps this share of an even histogram: a level that the data lack must not have density zero.
EVEN = 1e-3


class Equalize(Bijection):
    """Histogram equalisation: [0, 1] to [0, 1] by the distribution function of the data's grey levels.

    The map is linear within each of the ``levels`` cells of width 1/levels, and a cell's image is as wide as its level
    is frequent. Four fifths of a digit are background: 1/256 of the interval becomes .8 of it, which couplings can
    then model as one smooth mode beside the ink. log_det is the sum over the entries of log(levels x share of the
    entry's level). ``background`` is the share that the most frequent level gets in place of its own; the others keep
    their proportions. ``initialise(x)`` counts the levels of x; until then the layer is the identity. Nothing is
    learned. Values outside [0, 1] go on with the slope of the outermost cell.

    >>> import torch
    >>> layer = Equalize(levels=2)
    >>> layer.initialise(torch.tensor([[0.1, 0.2, 0.3, 0.9]]))
    >>> layer(torch.tensor([[0.25, 0.5, 1.0]]))[0]
    tensor([[0.3749, 0.7498, 1.0000]])
    """

    def __init__(self, levels=256, background=None):
        super().__init__()
        if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
            raise ValueError(f"levels must be an integer of at least 2, got {levels!r}")
        if background is not None and not (isinstance(background, float) and 0 < background < 1):
            raise ValueError(f"background must be a share between 0 and 1, got {background!r}")
        self.levels, self.background = levels, background
        # One list of knots serves values and slopes, so that the cells meet in every precision.
        self.register_buffer("knots", torch.arange(levels + 1) / levels)
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x, context=None):
        place = x * self.levels
        cell = place.detach().floor().clamp(0, self.levels - 1)
        low, width = self._cells(cell.long())
        return low + (place - cell) * width, self._log_det(width)

    def inverse(self, z, context=None):
        cell = torch.searchsorted(self.knots[1:-1], z.detach().contiguous(), right=True)
        low, width = self._cells(cell)
        return (cell + (z - low) / width) / self.levels, -self._log_det(width)

    @torch.no_grad()
    def initialise(self, x, context=None):
        """Set the map from the histogram of x, values in [0, 1]."""
        self.check_input(x)
        cells = (x * self.levels).long().clamp(0, self.levels - 1)
        counts = torch.bincount(cells.flatten(), minlength=self.levels).double()
        share = (1 - EVEN) * counts / counts.sum() + EVEN / self.levels
        if self.background is not None:
            first = share.argmax()
            others = share.sum() - share[first]
            share = share * ((1 - self.background) / others)
            share[first] = self.background
        knots = torch.cat([share.new_zeros(1), share.cumsum(0)])
        self.knots.copy_(knots / knots[-1])
        self.initialised.fill_(True)

    def check_input(self, x):
        """Raise ValueError unless x lies in [0, 1]."""
        low, high = x.min().item(), x.max().item()
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"Equalize(levels={self.levels}) expects values in [0, 1], got values from {low:g} to {high:g}: "
                "integer images need Dequantize(levels) before it"
            )

    def _cells(self, cell):
        """Where the image of each cell starts, and its width."""
        return self.knots[cell], self.knots.diff()[cell]

    def _log_det(self, width):
        return (width * self.levels).log().flatten(1).sum(1)

    def extra_repr(self):
        return f"levels={self.levels}, background={self.background}"
