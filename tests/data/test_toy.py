"""Toys: densities that integrate to one, samplers that agree with them, entropies that are known."""

import math

import pytest
import torch

from nvpkit import ShapeError, data
from nvpkit.metrics import grid_integral

NAMES = ["parabola", "moons", "rings", "checkerboard", "eight_gaussians", "spirals"]
WIDE = {"parabola": (-6, 26, 1600), "rings": (-2.4, 2.4, 700), "spirals": (-4.2, 4.2, 200), "checkerboard": (-3, 3, 60)}
ENTROPY = {
    "parabola": 1 + math.log(2 * math.pi) + math.log(0.3),
    "checkerboard": math.log(8),
    "eight_gaussians": 1.698,
    "moons": 1.008,
}


@pytest.mark.parametrize("name", NAMES)
def test_density_integrates_to_one(name):
    low, high, n = WIDE.get(name, (-3.5, 3.5, 200))
    assert abs(grid_integral(data.toy(name).log_prob, low, high, n) - 1) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_expected_information_of_samples_is_the_entropy(name):
    toy = data.toy(name)
    information = -toy.log_prob(toy.sample(20_000, torch.Generator().manual_seed(0)))
    error = information.std().item() / math.sqrt(20_000)
    assert abs(information.mean().item() - toy.entropy()) < 4 * error + 1e-4
    if name in ENTROPY:
        assert abs(toy.entropy() - ENTROPY[name]) < 1e-3


def test_tight_moons_have_their_known_entropy():
    assert abs(data.moons(0.05).entropy() - 0.2892) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_samples_fall_where_the_density_says(name):
    """Counts in the cells of a coarse grid against the density's integral over each cell (chi squared)."""
    toy = data.toy(name)
    low, high = toy.limits
    n, cells, fine = 20_000, 8, 20
    x = toy.sample(n, torch.Generator().manual_seed(1)).double()
    width = (high - low) / cells
    axis = low + (torch.arange(cells * fine, dtype=torch.float64) + 0.5) * width / fine
    mass = torch.cat([toy.log_prob(torch.cartesian_prod(row, axis)).exp() for row in axis.split(20)])
    mass = mass.reshape(cells, fine, cells, fine).sum((1, 3)).flatten() * (width / fine) ** 2
    inside = ((x >= low) & (x < high)).all(1)
    index = ((x[inside] - low) / width).long()
    counts = torch.bincount(index[:, 0] * cells + index[:, 1], minlength=cells**2)
    expected = n * mass
    filled = expected > 5
    chi2 = ((counts - expected)[filled] ** 2 / expected[filled]).sum().item()
    degrees = int(filled.sum())
    assert chi2 < degrees + 5 * math.sqrt(2 * degrees)
    assert counts[~filled].sum() < 5 * (expected[~filled].sum() + 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides_and_dtypes_are_kept(name):
    toy = getattr(data, name)()
    one, same, other = (toy.sample(50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (50, 2)
    assert one.dtype == torch.float32
    single, double = toy.log_prob(one), toy.log_prob(one.double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
    assert toy.has_density
    assert toy.name in repr(toy)


@pytest.mark.parametrize(("make", "sigma"), [(data.moons, 0.05), (data.moons, 0.3), (data.spirals, 0.1)])
def test_more_quadrature_nodes_change_nothing(make, sigma):
    toy = make(sigma)
    finer = make(sigma)
    finer._length = 2 * toy._length
    x = toy.sample(300).double()
    torch.testing.assert_close(toy.log_prob(x), finer.log_prob(x), rtol=0, atol=1e-6)


def test_moons_lie_on_scikit_learns_arcs():
    from sklearn.datasets import make_moons

    arcs = torch.tensor(make_moons(2000, noise=None)[0], dtype=torch.float32)
    ours = data.moons(sigma=0.001).sample(2000)
    assert torch.cdist(ours, arcs).min(1).values.max() < 0.01
    assert torch.cdist(arcs, ours).min(1).values.max() < 0.05


def test_spirals_turn_and_spread_evenly_over_the_disc():
    x = data.spirals(sigma=0.001).sample(20_000)
    radius = x.norm(dim=1)
    assert abs(radius.max() - math.pi) < 0.01
    assert abs((radius < math.pi / 2).float().mean() - 0.25) < 0.015
    # Two arms, each the other turned by half a turn: x = -cos(3 r) r, y = sin(3 r) r.
    arm = torch.stack([-(3 * radius).cos() * radius, (3 * radius).sin() * radius], 1)
    distance = torch.minimum((x - arm).norm(dim=1), (x + arm).norm(dim=1))
    assert distance.max() < 0.1
    assert abs(((x - arm).norm(dim=1) < 0.1).float().mean() - 0.5) < 0.03


def test_rings_have_their_radii():
    radius = data.rings().sample(20_000).norm(dim=1)
    nearest = (2 * radius).round().clamp(1, 4) / 2
    assert abs((radius - nearest).std().item() - 0.05) < 2e-3
    assert torch.isfinite(data.rings().log_prob(torch.zeros(1, 2))).all()


def test_checkerboard_is_minus_infinity_on_light_squares():
    points = torch.tensor([[0.5, 0.5], [0.5, 1.5], [-1.5, -1.5], [2.5, 0.5]])
    dark = -math.log(8)
    assert torch.equal(data.checkerboard().log_prob(points), torch.tensor([dark, -math.inf, dark, -math.inf]))


def test_eight_gaussians_take_radius_and_sigma():
    toy = data.eight_gaussians(radius=4, sigma=0.5)
    assert abs(toy.sample(5000).norm(dim=1).mean().item() - 4) < 0.1
    assert abs(grid_integral(toy.log_prob, -8, 8, 200) - 1) < 1e-4


def test_wrong_shapes_and_names_are_named():
    with pytest.raises(ShapeError, match=r"moons expects points of shape \(n, 2\), got \(3, 3\)"):
        data.moons().log_prob(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="there are parabola, moons"):
        data.toy("moon")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, -5, 2.5])
def test_a_count_that_is_none_is_refused(name, n):
    with pytest.raises(ValueError, match=f"number of samples must be an integer of at least 1, got {n}"):
        data.toy(name).sample(n)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_points_that_are_not_finite_are_refused(name, bad):
    with pytest.raises(ValueError, match=f"{name} expects finite points"):
        data.toy(name).log_prob(torch.tensor([[0.0, 0.0], [bad, 0.0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.moons(sigma=0), "sigma must be a finite number above 0, got 0"),
        (lambda: data.parabola(sigma=-0.1), "sigma"),
        (lambda: data.spirals(sigma=math.nan), "sigma"),
        (lambda: data.rings(radii=(1.0, -2.0)), "each radius must be a finite number above 0, got -2.0"),
        (lambda: data.rings(radii=()), "at least one radius"),
        (lambda: data.eight_gaussians(radius=0), "radius"),
        (lambda: data.eight_gaussians(sigma=math.inf), "sigma"),
    ],
)
def test_settings_that_make_no_density_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_point_of_the_checkerboard_is_rounded_onto_a_light_square(monkeypatch):
    """The largest float32 below 1 added to -2 rounds to -1, which is another square."""
    largest = 1 - 2**-24
    monkeypatch.setattr(torch, "rand", lambda *shape, generator=None: torch.full(shape, largest))
    board = data.checkerboard()
    x = board.sample(200)
    assert torch.isfinite(board.log_prob(x)).all()
    assert abs((x - x.round()).abs().max().item()) < 1e-5


def test_integer_points_are_taken_as_numbers():
    points = torch.tensor([[0, 0], [1, 1]])
    for name in NAMES:
        toy = data.toy(name)
        assert torch.equal(toy.log_prob(points), toy.log_prob(points.float()))
