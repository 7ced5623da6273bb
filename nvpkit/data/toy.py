"""Two-dimensional targets, each with its exact log-density: what a flow learns can be compared with the truth."""

import math

import torch

from nvpkit.data.curves import arc_log_prob, legendre_nodes
from nvpkit.data.density import Toy, positive
from nvpkit.distributions import GaussianMixture


class Parabola(Toy):
    name, limits = "parabola", (-5.0, 11.0)

    def __init__(self, sigma=0.3):
        self.sigma = positive("sigma", sigma)

    def _sample(self, n, generator):
        x, noise = torch.randn(2, n, generator=generator)
        return torch.stack([x, x**2 + self.sigma * noise], 1)

    def _log_prob(self, x):
        first, second = x.unbind(1)
        return _normal(first, 1.0) + _normal(second - first**2, self.sigma)

    def entropy(self):
        return 1 + math.log(2 * math.pi) + math.log(self.sigma)


class Curve(Toy):
    """Points spread along curves, with Gaussian noise of standard deviation sigma in both directions."""

    def _sample(self, n, generator):
        u, which = torch.rand(2, n, generator=generator)
        points = self.curves(u)
        points = points[(which * len(points)).long().clamp_max(len(points) - 1), torch.arange(n)]
        return points + self.sigma * torch.randn(n, 2, generator=generator)

    def _log_prob(self, x):
        u, weights = legendre_nodes(self.n_nodes)
        nodes = self.curves(u).to(x)
        weights = (weights / len(nodes)).to(x).repeat(len(nodes))
        return arc_log_prob(x, nodes.flatten(0, 1), weights, self.sigma)


class Moons(Curve):
    """Two half circles; the density convolves the arcs with the noise by Gauss-Legendre quadrature."""

    name, limits = "moons", (-2.0, 3.0)

    def __init__(self, sigma=0.1):
        self.sigma = positive("sigma", sigma)
        self._length = math.pi

    @property
    def n_nodes(self):
        # Three for each sigma of length: the error of the quadrature is then below float32's rounding.
        return max(64, math.ceil(3 * self._length / self.sigma))

    def curves(self, u):
        t = math.pi * u
        upper = torch.stack([t.cos(), t.sin()], -1)
        lower = torch.stack([1 - t.cos(), 0.5 - t.sin()], -1)
        return torch.stack([upper, lower])


class Spirals(Curve):
    """Two spirals of three half turns; the density integrates along the arms by Gauss-Legendre quadrature."""

    name, limits = "spirals", (-4.0, 4.0)

    def __init__(self, sigma=0.1):
        self.sigma = positive("sigma", sigma)
        self._length = 15.0

    n_nodes = Moons.n_nodes

    def curves(self, u):
        # The square root spreads the points evenly: the arm's length grows with the square of its angle.
        t = 3 * math.pi * u.sqrt()
        arm = torch.stack([-t.cos() * t, t.sin() * t], -1) / 3
        return torch.stack([arm, -arm])


class Rings(Toy):
    """Circles with normal noise of standard deviation sigma along the radius, the angle uniform."""

    name = "rings"

    def __init__(self, radii=(0.5, 1.0, 1.5, 2.0), sigma=0.05):
        self.radii, self.sigma = tuple(positive("each radius", radius) for radius in radii), positive("sigma", sigma)
        if not self.radii:
            raise ValueError("rings need at least one radius, got none")
        high = max(self.radii) + 8 * sigma
        self.limits = (-high, high)

    def _sample(self, n, generator):
        which = torch.randint(len(self.radii), (n,), generator=generator)
        radius = torch.tensor(self.radii)[which] + self.sigma * torch.randn(n, generator=generator)
        angle = 2 * math.pi * torch.rand(n, generator=generator)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)

    def _log_prob(self, x):
        radius = x.norm(dim=1)
        # The circumference 2 pi r spreads the radial density over the plane.
        return self._radial(radius) - math.log(2 * math.pi) - radius.clamp_min(torch.finfo(x.dtype).tiny).log()

    def _radial(self, radius):
        """Log-density of the distance from the origin; a drawn radius below 0 lies at its absolute value."""
        signed = [_normal(side * radius - r, self.sigma) for r in self.radii for side in (1, -1)]
        return torch.logsumexp(torch.stack(signed), 0) - math.log(len(self.radii))

    def entropy(self):
        cells = math.ceil(self.limits[1] / (self.sigma / 50))
        radius = (torch.arange(cells, dtype=torch.float64) + 0.5) * self.limits[1] / cells
        log_radial = self._radial(radius)
        # H = E[log(2 pi r)] - E[log p(r)], a one-dimensional integral.
        integrand = log_radial.exp() * ((2 * math.pi * radius).log() - log_radial)
        return integrand.sum().item() * self.limits[1] / cells


class Checkerboard(Toy):
    """Uniform on the eight dark unit squares of a 4 x 4 board on [-2, 2]^2."""

    name, limits = "checkerboard", (-2.0, 2.0)

    def _sample(self, n, generator):
        row, column = torch.randint(4, (n,), generator=generator), torch.randint(2, (n,), generator=generator)
        corner = torch.stack([2 * column + row % 2, row], 1) - 2
        # Rounding must not carry a point across the far edge of its square.
        return corner + torch.rand(n, 2, generator=generator).clamp_max(1 - 1e-6)

    def _log_prob(self, x):
        cell = x.floor()
        dark = (cell.sum(1) % 2 == 0) & (cell >= -2).all(1) & (cell < 2).all(1)
        inside = x.new_full((), -math.log(8))
        return torch.where(dark, inside, x.new_full((), -math.inf))

    def entropy(self):
        return math.log(8)


class EightGaussians(Toy):
    """Eight round Gaussians on a circle of the given radius, standard deviation sigma."""

    name = "eight_gaussians"

    def __init__(self, radius=2.0, sigma=0.2):
        self.radius, self.sigma = positive("radius", radius), positive("sigma", sigma)
        high = radius + 8 * sigma
        self.limits = (-high, high)

    @property
    def _mixture(self):
        angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
        means = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        covariances = self.sigma**2 * torch.eye(2, dtype=torch.float64).expand(8, 2, 2)
        return GaussianMixture(torch.full((8,), 0.125, dtype=torch.float64), means, covariances)

    def _sample(self, n, generator):
        return self._mixture.to(torch.get_default_dtype()).sample(n, generator)

    def _log_prob(self, x):
        return self._mixture.to(x).log_prob(x)


def _normal(x, sigma):
    return -0.5 * (x / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)


TOYS = {toy.name: toy for toy in (Parabola, Moons, Rings, Checkerboard, EightGaussians, Spirals)}


def toy(name, **settings):
    """Return the toy called ``name``, with its settings (sigma, radius, radii) where others are wanted.

    Names: parabola, moons, rings, checkerboard, eight_gaussians, spirals. Raises ValueError for another.

    >>> points = toy("rings").sample(100)
    >>> points.shape, toy("rings").log_prob(points).shape
    (torch.Size([100, 2]), torch.Size([100]))
    """
    if name not in TOYS:
        raise ValueError(f"there is no toy called {name!r}; there are {', '.join(TOYS)}")
    return TOYS[name](**settings)


def parabola(sigma=0.3):
    """Return the density of (x, x^2 + sigma noise) with x standard normal.

    >>> round(parabola().entropy(), 3)
    1.634
    """
    return Parabola(sigma)


def moons(sigma=0.1):
    """Return two half circles blurred by Gaussian noise.

    >>> round(moons().entropy(), 3)
    1.008
    """
    return Moons(sigma)


def rings(radii=(0.5, 1.0, 1.5, 2.0), sigma=0.05):
    """Return circles with normal noise along the radius.

    >>> rings(radii=(1.0, 2.0)).sample(10).shape
    torch.Size([10, 2])
    """
    return Rings(radii, sigma)


def checkerboard():
    """Return the uniform density on the dark squares of a 4 x 4 board.

    >>> checkerboard().log_prob(torch.tensor([[0.5, 0.5], [0.5, 1.5]])).exp()
    tensor([0.1250, 0.0000])
    """
    return Checkerboard()


def eight_gaussians(radius=2.0, sigma=0.2):
    """Return eight round Gaussians on a circle.

    >>> round(eight_gaussians().entropy(), 3)
    1.698
    """
    return EightGaussians(radius, sigma)


def spirals(sigma=0.1):
    """Return two spiral arms blurred by Gaussian noise.

    >>> spirals().log_prob(torch.zeros(1, 2)).shape
    torch.Size([1])
    """
    return Spirals(sigma)
