"""Hidden pixels: which ones, that seen ones never move, that the likelihood rises, and how far."""

import math

import pytest
import torch

from nvpkit import Flow, models
from nvpkit.applications import continuous, inpaint, inpaint_nice, known_pixels
from nvpkit.applications.inpainting import REGIONS
from nvpkit.bijections import AdditiveCoupling, half_mask
from nvpkit.distributions import standard_normal
from tests.applications.shift import shift_flow

BOTTOM = known_pixels("bottom", (1, 8, 8)).flatten()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (3, 7, 5)])
def test_each_region_hides_the_share_that_it_names(region, shape):
    known = known_pixels(region, shape, torch.Generator().manual_seed(0))
    assert (known.dtype, tuple(known.shape)) == (torch.bool, shape)
    share = {"random_75": 0.75, "random_90": 0.9}.get(region, 0.5)
    assert abs((~known).float().mean() - share) < (0.01 if shape[-1] == 28 else 0.13)
    if len(shape) == 3:
        assert bool((known == known[:1]).all())


def test_regions_lie_where_the_paper_has_them():
    def hidden(name):
        return ~known_pixels(name, (28, 28))

    assert hidden("middle_rows").any(1).nonzero().flatten().tolist() == list(range(7, 21))
    assert hidden("middle_columns").any(0).nonzero().flatten().tolist() == list(range(7, 21))
    for one, other in (("top", "bottom"), ("left", "right"), ("even", "odd")):
        assert torch.equal(hidden(one), ~hidden(other))
    assert bool(hidden("top")[0].all())
    assert bool(hidden("left")[:, 0].all())
    assert bool(hidden("even").flatten()[::2].all())
    twice = [known_pixels("random_90", (28, 28), torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*twice)


@pytest.fixture
def correlated():
    """x0 standard normal and x1 given x0 normal around 2 x0 + 1: the likeliest x1, and x0, are known."""
    net = torch.nn.Linear(1, 1).double()
    net.load_state_dict({"weight": torch.tensor([[-2.0]]), "bias": torch.tensor([-1.0])})
    return Flow(AdditiveCoupling(half_mask(2, 0), net), standard_normal(2)).double()


def test_inpainting_finds_the_conditional_mode(correlated):
    x = torch.randn(50, 2, dtype=torch.float64)
    settings = {"steps": 200, "bounds": None}
    second = inpaint(correlated, x, torch.tensor([True, False]), **settings)
    torch.testing.assert_close(second[:, 1], 2 * x[:, 0] + 1, rtol=0, atol=1e-2)
    first = inpaint(correlated, x, torch.tensor([False, True]), **settings)
    torch.testing.assert_close(first[:, 0], 2 * (x[:, 1] - 1) / 5, rtol=0, atol=1e-2)


def test_nices_climb_wanders_around_the_conditional_mode(correlated):
    x = torch.randn(400, 2, dtype=torch.float64)
    filled = inpaint_nice(correlated, x, torch.tensor([True, False]), steps=300, bounds=None)
    away = filled[:, 1] - 2 * x[:, 0] - 1
    assert abs(away.mean()) < 0.06
    assert 0 < away.std() < 0.4


def test_nices_steps_are_the_papers(correlated):
    x, known = torch.rand(3, 2, dtype=torch.float64), torch.tensor([True, False])
    filled = inpaint_nice(correlated, x, known, steps=2, generator=torch.Generator().manual_seed(5))
    generator, y = torch.Generator().manual_seed(5), x.clone()
    for i in range(2):
        slope = -(y[:, 1] - 2 * y[:, 0] - 1)
        noise = torch.randn(3, 2, generator=generator, dtype=torch.float64)[:, 1]
        y[:, 1] = (y[:, 1] + 10 / (100 + i) * (slope + noise)).clamp(0, 1)
    torch.testing.assert_close(filled, y)


@pytest.mark.parametrize("climb", [inpaint, inpaint_nice])
def test_seen_pixels_and_the_flow_stay_as_they_are(climb, digits_flow, digits):
    x, known = digits[:6], known_pixels("random_75", (1, 8, 8)).flatten()
    before = {key: value.clone() for key, value in digits_flow.state_dict().items()}
    digits_flow.bijection.layers[3].train()
    modes = [part.training for part in digits_flow.modules()]
    filled = climb(digits_flow, x, known, steps=5)
    assert [part.training for part in digits_flow.modules()] == modes
    digits_flow.eval()
    assert (filled.dtype, filled.requires_grad) == (x.dtype, False)
    assert torch.equal(filled[:, known], x[:, known])
    assert not torch.equal(filled, x)
    assert 0 <= filled.min() <= filled.max() <= 16
    assert all(torch.equal(value, before[key]) for key, value in digits_flow.state_dict().items())
    rows = torch.rand(6, 64) < 0.5
    assert torch.equal(climb(digits_flow, x, rows, steps=2)[rows], x[rows])


@pytest.mark.parametrize("climb", [inpaint, inpaint_nice])
def test_unit_scale_keeps_its_bounds_and_its_seen_values_bit_for_bit(climb, digits_flow, digits):
    _, flow = continuous(digits_flow)
    x = (digits[:4].float() + 0.5) / 17
    filled = climb(flow, x, BOTTOM, steps=5)
    assert torch.equal(filled[:, BOTTOM], x[:, BOTTOM])
    assert 0 <= filled.min() <= filled.max() <= 1


def measures(flow, truth, filled, draws=8):
    """Mean log-likelihood in nats, and the root mean square error of the hidden pixels on the scale 0 to 1."""
    with torch.no_grad():
        log_prob = torch.stack([flow.log_prob(filled) for _ in range(draws)]).mean().item()
    return log_prob, ((filled - truth.float())[:, ~BOTTOM] / 16).square().mean().sqrt().item()


def test_the_climb_from_samples_is_higher_and_nearer_the_truth_than_nices_at_its_best(digits_flow, digits):
    truth = digits[:40]
    damaged = torch.where(BOTTOM, truth, torch.randint(0, 17, truth.shape).to(truth.dtype))
    start = measures(digits_flow, truth, damaged)
    scales = (1, 0.01, 0.003, 0.001)
    nice = [measures(digits_flow, truth, inpaint_nice(digits_flow, damaged, BOTTOM, scale=s)) for s in scales]
    # The paper's own step overshoots on this flow; a thousandth of it climbs.
    assert nice[0][0] < start[0] < nice[-1][0]
    better = measures(digits_flow, truth, inpaint(digits_flow, damaged, BOTTOM))
    # Three seeds gave -86 to -83 nats against -94 or less, and an error of .22 to .23 against .27 or more.
    assert better[0] > max(log_prob for log_prob, _ in nice) + 5
    assert better[0] > measures(digits_flow, truth, truth)[0]
    assert better[1] < min(error for _, error in nice) - 0.02


def test_more_starts_climb_at_least_as_high(digits_flow, digits):
    _, flow = continuous(digits_flow)
    x = (digits[:40].float() + 0.5) / 17
    with torch.no_grad():
        reached = [flow.log_prob(inpaint(flow, x, BOTTOM, steps=40, starts=s)).mean().item() for s in (1, 6)]
    assert reached[1] > reached[0] + 1


def test_the_context_passes_through():
    flow = shift_flow([[0.1, 0.2, 0.3], [0.7, 0.8, 0.9]], sigma=0.05)
    x, context = torch.full((2, 3), 0.5), torch.eye(2)
    filled = inpaint(flow, x, torch.tensor([True, False, False]), context=context)
    torch.testing.assert_close(filled[:, 1:], torch.tensor([[0.2, 0.3], [0.8, 0.9]]), rtol=0, atol=2e-3)
    noisy = inpaint_nice(flow, x, torch.tensor([True, False, False]), scale=0.01, context=context)
    torch.testing.assert_close(noisy[:, 1:], torch.tensor([[0.2, 0.3], [0.8, 0.9]]), rtol=0, atol=0.05)


@pytest.mark.parametrize("variational", [False, True])
def test_images_of_a_multi_scale_flow(variational):
    noise = {"width": 4, "n_couplings": 1} if variational else False
    flow = models.image_real_nvp((1, 8, 8), levels=17, hidden=4, n_blocks=1, variational=noise)
    x = torch.randint(0, 17, (3, 1, 8, 8))
    flow.initialise(x)
    flow.eval()
    known = known_pixels("left", (1, 8, 8))
    filled = inpaint(flow, x, known, steps=20, starts=2)
    assert (filled.shape, filled.dtype) == (x.shape, x.dtype)
    seen = known.expand_as(x)
    assert torch.equal(filled[seen], x[seen])
    _, rest = continuous(flow)
    with torch.no_grad():
        assert rest.log_prob((filled + 0.5) / 17).mean() > rest.log_prob((x + 0.5) / 17).mean()


def test_a_generator_makes_it_repeatable(digits_flow, digits):
    for climb in (inpaint, inpaint_nice):
        one, two = (
            climb(digits_flow, digits[:2], BOTTOM, steps=3, generator=torch.Generator().manual_seed(1)) for _ in "ab"
        )
        assert math.isclose((one.float() - two.float()).abs().max().item(), 0, abs_tol=1)


@pytest.mark.parametrize("climb", [inpaint, inpaint_nice])
@pytest.mark.parametrize(
    ("x", "known", "settings", "message"),
    [
        (torch.rand(2, 4), torch.ones(4), {}, "bool tensor.*float32"),
        (torch.rand(2, 4), [True] * 4, {}, "list"),
        (torch.rand(2, 4), torch.ones(5, dtype=torch.bool), {}, r"\(5,\) does not fit x \(2, 4\)"),
        (torch.rand(2, 5), torch.ones(5, dtype=torch.bool), {}, r"\(B, 4\), got \(2, 5\)"),
        (torch.full((2, 4), torch.nan), torch.ones(4, dtype=torch.bool), {}, "NaN"),
        (torch.full((2, 4), 3.0), torch.ones(4, dtype=torch.bool), {}, "bounds=None"),
        (torch.rand(2, 4), torch.ones(4, dtype=torch.bool), {"steps": 0}, "steps"),
    ],
)
def test_nonsense_is_refused(climb, x, known, settings, message):
    with pytest.raises(ValueError, match=message):
        climb(models.nice(4), x, known, **settings)


def test_nonsense_in_settings_is_refused():
    x, known = torch.rand(2, 4), torch.ones(4, dtype=torch.bool)
    for settings in ({"starts": 0}, {"lr": 0.0}, {"lr": math.nan}):
        with pytest.raises(ValueError, match="starts"):
            inpaint(models.nice(4), x, known, **settings)
    with pytest.raises(ValueError, match="scale"):
        inpaint_nice(models.nice(4), x, known, scale=-1)
    with pytest.raises(ValueError, match=r"integers 0\.\.16"):
        inpaint(models.nice(4, levels=17), x, known)
    with pytest.raises(ValueError, match="middle_rows"):
        known_pixels("centre", (8, 8))
    with pytest.raises(ValueError, match="an image"):
        known_pixels("top", (64,))
