"""A flow is a density: change of variables, sampling from what it says, and a door that names what is wrong."""

import math

import pytest
import torch

from nvpkit import Flow, ShapeError, models
from nvpkit.bijections import AdditiveCoupling, Chain, Dequantize, Scaling, half_mask
from nvpkit.distributions import standard_logistic, standard_normal
from nvpkit.metrics import grid_integral
from nvpkit.nets import MLP


def make_flow(dim=2, seed=0, base=standard_normal):
    """A flow with random weights of moderate size."""
    layers = []
    for parity in (0, 1, 0):
        mask = half_mask(dim, parity)
        kept = int(mask.sum())
        layers.append(AdditiveCoupling(mask, MLP(kept, dim - kept, 16, activation=torch.nn.Tanh)))
    flow = Flow(Chain([*layers, Scaling(dim)]), base(dim))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return flow


@pytest.mark.parametrize("base", [standard_normal, standard_logistic])
def test_the_density_integrates_to_one(base):
    assert abs(grid_integral(make_flow(base=base).log_prob, -30, 30, 800) - 1) < 2e-4


def test_log_prob_is_the_change_of_variables():
    flow = make_flow(3).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    one = lambda v: flow(v[None])[0][0]  # noqa: E731
    jacobians = torch.stack([torch.autograd.functional.jacobian(one, v) for v in x])
    z = flow(x)[0]
    expected = -0.5 * (z**2).sum(1) - 1.5 * math.log(2 * math.pi) + torch.linalg.slogdet(jacobians)[1]
    torch.testing.assert_close(flow.log_prob(x), expected)


def test_samples_come_from_the_density():
    flow = make_flow()
    x, log_prob = flow.sample_and_log_prob(20_000)
    torch.testing.assert_close(log_prob, flow.log_prob(x), rtol=1e-4, atol=1e-4)
    # E_q[p / q] = 1 for every density p: with p a wide normal it tells the sampler and the density apart.
    p = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    ratio = (p - log_prob).clamp_max(5).exp()
    assert abs(ratio.mean().item() - 1) < 5 * ratio.std().item() / math.sqrt(20_000)


def test_half_of_the_samples_lie_where_the_density_says():
    flow = make_flow()
    grid_mass = grid_integral(lambda x: flow.log_prob(x) + (x[:, 0] > 0.3).double().log(), -12, 12, 800)
    share = (flow.sample(40_000)[:, 0] > 0.3).double().mean().item()
    assert 0.02 < grid_mass < 0.98
    assert abs(share - grid_mass) < 0.015


def test_inverse_undoes_forward():
    flow = make_flow(5).double()
    x = torch.randn(6, 5, dtype=torch.float64)
    z, log_det = flow(x)
    back, opposite = flow.inverse(z)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(opposite, -log_det)


def test_temperature_shrinks_the_latent_and_zero_is_the_image_of_the_mode():
    flow = make_flow()
    cold = flow.sample(3, temperature=0.0)
    torch.testing.assert_close(cold, flow.inverse(torch.zeros(3, 2))[0])
    half, full = (flow.sample(9, temperature=t, generator=torch.Generator().manual_seed(3)) for t in (0.5, 1.0))
    torch.testing.assert_close(flow(half)[0], 0.5 * flow(full)[0], rtol=1e-4, atol=1e-5)


def test_the_generator_decides_the_samples_and_the_global_state_is_left_alone():
    flow, before = make_flow(), torch.get_rng_state()
    one, same, other = (flow.sample(4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert not one.requires_grad


def test_dtype_follows_double_base_included():
    flow = make_flow().double()
    assert flow.sample(3).dtype == flow.log_prob(flow.sample(3)).dtype == torch.float64
    assert flow.dtype == torch.float64
    assert flow.float().sample(3).dtype == torch.float32


def test_gradients_flow_through_samples_and_their_density():
    flow = make_flow()
    x, log_prob = flow.sample_and_log_prob(8)
    (x.square().sum() + log_prob.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in flow.parameters())


def test_context_goes_through():
    net = MLP(1, 1, 16, context_dim=2)
    flow = Flow(AdditiveCoupling(half_mask(2, 0), net), standard_normal(2))
    context = torch.randn(6, 2)
    x = flow.sample(6, context=context)
    torch.testing.assert_close(flow.inverse(flow(x, context)[0], context)[0], x)
    assert flow.log_prob(x, context).shape == (6,)
    for call in (lambda: flow.log_prob(x, context[:5]), lambda: flow.sample(5, context=context)):
        with pytest.raises(ShapeError, match="context of"):
            call()


def test_integers_are_taken_in_the_flows_dtype():
    flow = Flow(Chain([Dequantize(4), Scaling(2)]), standard_logistic(2)).double()
    x = torch.randint(4, (5, 2))
    assert flow.log_prob(x).dtype == torch.float64
    assert flow.log_prob(x.byte()).shape == (5,)
    drawn = flow.sample(50)
    assert drawn.dtype == torch.float64
    assert set(drawn.flatten().tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_dequantised_log_prob_bounds_the_mass_which_sums_to_one():
    flow = Flow(Chain([Dequantize(3), Scaling(1)]), standard_normal(1)).double()
    x = torch.arange(3)[:, None]
    edges = torch.linspace(0, 1, 4, dtype=torch.float64)
    mass = torch.distributions.Normal(0.0, 1.0).cdf(edges).diff()
    bound = torch.stack([flow.log_prob(x) for _ in range(4000)]).mean(0)
    # Jensen: the bound lies below; the density is nearly flat within a cell, so it lies close below.
    gap = mass.log() - bound
    assert bool((gap > -2e-3).all())
    assert gap.max() < 0.02


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(3, 4), ShapeError, r"\(B, 2\), got \(3, 4\)"),
        (torch.zeros(2), ShapeError, r"\(B, 2\), got \(2,\)"),
        (torch.tensor(1.0), ShapeError, r"got \(\)"),
        (torch.zeros(0, 2), ShapeError, "empty batch"),
        (torch.tensor([[0.0, 0.0], [math.nan, 0.0]]), ValueError, "row 1"),
        (torch.tensor([[math.inf, 0.0]]), ValueError, "NaN or infinite"),
        (torch.zeros(3, 2, dtype=torch.float64), ValueError, r"flow is torch.float32, . is torch.float64"),
        (torch.zeros(3, 2, dtype=torch.complex64), ValueError, "real"),
        ([[0.0, 0.0]], TypeError, "torch.as_tensor"),
    ],
)
@pytest.mark.parametrize("method", ["log_prob", "forward", "inverse"])
def test_the_door_names_what_is_wrong(method, x, error, message):
    with pytest.raises(error, match=message):
        getattr(make_flow(), method)(x)


def test_the_door_asks_the_first_layer_too():
    flow = Flow(Chain([Dequantize(4), Scaling(2)]), standard_logistic(2))
    with pytest.raises(ValueError, match=r"integers 0\.\.3"):
        flow.log_prob(torch.full((1, 2), 4))


def test_under_compile_the_door_is_open_and_the_graph_is_one():
    flow = make_flow()
    compiled = torch.compile(flow.log_prob, backend="eager", fullgraph=True)
    x = torch.randn(3, 2)
    torch.testing.assert_close(compiled(x), flow.log_prob(x))
    assert compiled(x * math.nan).isnan().all()


def test_data_that_were_looked_at_once_are_trusted():
    flow, bad = make_flow(), torch.full((1, 2), math.nan)
    with pytest.raises(ValueError, match="row 0"):
        flow.check(bad)
    with flow.trusted():
        assert flow.log_prob(bad).isnan().all()
        assert flow.log_prob(torch.zeros(1, 2, dtype=torch.uint8)).dtype == torch.float32
    with pytest.raises(ValueError, match="row 0"):
        flow.log_prob(bad)
    assert flow.check(torch.zeros(1, 2)) is None


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_a_temperature_is_a_factor(temperature):
    with pytest.raises(ValueError, match="temperature is a finite factor"):
        make_flow().sample(3, temperature=temperature)


@pytest.mark.parametrize(
    ("context", "error", "message"),
    [
        (torch.randn(3, 2), ShapeError, r"4 samples need a context of 4 rows, got shape \(3, 2\)"),
        (torch.randn(4), ShapeError, r"context of 4 rows, got shape \(4,\)"),
        (torch.randn(4, 3), ShapeError, r"\(4, 2\), got \(4, 3\)"),
        (torch.randint(3, (4, 2)), ValueError, r"context is torch\.int64: call context\.to\(torch\.float32\)"),
        (torch.full((4, 2), math.nan), ValueError, "context holds NaN"),
        (None, ValueError, "context_dim=2"),
        ([[0.0, 0.0]] * 4, TypeError, "context must be a torch.Tensor"),
    ],
)
def test_a_context_that_does_not_fit_is_named(context, error, message):
    flow = models.real_nvp(2, n_layers=2, hidden=8, context_dim=2).eval()
    for call in (
        lambda: flow.log_prob(torch.zeros(4, 2), context),
        lambda: flow.inverse(torch.zeros(4, 2), context),
        lambda: flow.sample(4, context),
        lambda: flow.sample_and_log_prob(4, context),
    ):
        with pytest.raises(error, match=message):
            call()


def test_samples_and_their_density_under_a_context():
    flow = models.real_nvp(2, n_layers=2, hidden=8, context_dim=2).eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    context = torch.randn(6, 2)
    x, log_prob = flow.sample_and_log_prob(6, context, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_prob, flow.log_prob(x, context))
    again = flow.sample(6, context, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x, again)
    assert not torch.allclose(flow.log_prob(x, context.flip(0)), log_prob)


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_a_number_of_samples_is_a_number(n):
    with pytest.raises(ValueError, match="number of samples"):
        make_flow().sample(n)


def test_state_survives_save_and_load(tmp_path):
    flow, other = make_flow(seed=1), make_flow(seed=2)
    x = torch.randn(4, 2)
    torch.save(flow.state_dict(), tmp_path / "flow.pt")
    other.load_state_dict(torch.load(tmp_path / "flow.pt", weights_only=True))
    assert torch.equal(flow.log_prob(x), other.log_prob(x))
