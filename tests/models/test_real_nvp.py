"""Real NVP on vectors: composed as the paper has it, exact with random weights, and it learns."""

import json

import pytest
import torch

from nvpkit import models
from nvpkit.bijections import ActNorm, AffineCoupling, BatchNorm, Dequantize, Logit
from nvpkit.data import images, moons
from nvpkit.metrics import bits_per_dim, energy_distance, grid_sample, kl_to, log_det_error, round_trip_error
from nvpkit.training import fit


def randomise(flow, scale=0.3):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape))
    return flow.eval()


def kinds(flow):
    return [type(layer) for layer in flow.bijection.layers]


def test_actnorm_first_then_couplings_whose_halves_alternate():
    flow = models.real_nvp(5, n_layers=3, hidden=7)
    first, *couplings = flow.bijection.layers
    assert isinstance(first, ActNorm)
    assert all(isinstance(layer, AffineCoupling) for layer in couplings)
    assert [layer.mask.tolist() for layer in couplings] == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 0, 0]]
    assert couplings[0].net.layers[0].weight.shape == (7, 3)
    assert couplings[0].net.layers[-1].weight.shape == (4, 7)
    even_odd = models.real_nvp(4, split="even_odd").bijection.layers
    assert even_odd[1].mask.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(("norm", "kind"), [("actnorm", ActNorm), ("batchnorm", BatchNorm)])
def test_normalisation_stands_between_couplings(norm, kind):
    flow = models.real_nvp(4, n_layers=3, norm=norm, standardise=False)
    assert kinds(flow) == [AffineCoupling, kind, AffineCoupling, kind, AffineCoupling]


def test_integers_are_dequantised_and_sent_through_the_logit():
    assert kinds(models.real_nvp(4, n_layers=1, levels=17)) == [Dequantize, Logit, ActNorm, AffineCoupling]
    assert kinds(models.real_nvp(4, n_layers=1, levels=17, preprocess=False)) == [Dequantize, ActNorm, AffineCoupling]


def test_the_start_is_the_identity_and_no_weights_are_shared():
    flow, x = models.real_nvp(6).eval(), torch.randn(3, 6)
    assert torch.equal(flow(x)[0], x)
    assert len({p.data_ptr() for p in flow.parameters()}) == len(list(flow.parameters()))


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("norm", [None, "actnorm", "batchnorm"])
@pytest.mark.parametrize("split", ["half", "even_odd"])
@pytest.mark.parametrize("context_dim", [0, 3])
def test_log_det_and_round_trip_with_random_weights(dim, norm, split, context_dim):
    settings = {"hidden": 16, "norm": norm, "split": split, "context_dim": context_dim, "activation": "tanh"}
    flow = randomise(models.real_nvp(dim, 4, **settings).double())
    x = torch.randn(4, dim, dtype=torch.float64)
    context = torch.randn(4, context_dim, dtype=torch.float64) if context_dim else None
    assert log_det_error(flow, x, context) < 1e-9
    assert round_trip_error(flow, x, context) < 1e-9
    assert not torch.allclose(flow(x, context)[0], x)


def test_a_conditional_flow_has_one_density_for_each_context():
    flow = randomise(models.real_nvp(2, context_dim=1, hidden=16))
    x, context = torch.randn(6, 2), torch.linspace(-1, 1, 6)[:, None]
    together = flow.log_prob(x, context)
    alone = torch.cat([flow.log_prob(x[i : i + 1], context[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together, flow.log_prob(x, context + 1))
    assert flow.sample(6, context).shape == (6, 2)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_samples_are_those_of_the_density(value):
    flow = randomise(models.real_nvp(2, 4, hidden=8, activation="tanh", context_dim=1))
    points = grid_sample(lambda x: flow.log_prob(x, x.new_full((len(x), 1), value)), -12, 12, 4000)
    estimate, error = energy_distance(flow.sample(4000, torch.full((4000, 1), value)), points)
    assert abs(estimate) < 4 * error
    other, _ = energy_distance(flow.sample(4000, torch.full((4000, 1), -value)), points)
    assert other > 8 * error


def test_the_first_layer_standardises():
    x = torch.randn(500, 3) * torch.tensor([0.01, 1.0, 100.0]) + torch.tensor([5.0, 0.0, -300.0])
    z, _ = models.real_nvp(3).initialise(x)(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(3), atol=1e-2, rtol=0)


def test_who_samples_before_training_meets_the_same_density():
    flow = models.real_nvp(3, 8)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    x, log_prob = flow.sample_and_log_prob(50)
    torch.testing.assert_close(flow.log_prob(x), log_prob, rtol=1e-4, atol=1e-4)
    # Data still set it when asked to, as fit does.
    data = 5 + 3 * torch.randn(500, 3)
    flow.initialise(data)
    z, _ = flow.bijection.layers[0](data)
    assert z.mean(0).abs().max() < 1e-6


@pytest.mark.parametrize(
    "settings",
    [{"dim": 2}, {"dim": 3, "hidden": 9, "norm": "actnorm", "levels": 5, "base": "logistic", "max_log_scale": 1.5}],
)
def test_the_configuration_is_text_that_builds_the_same_flow(settings):
    flow = randomise(models.real_nvp(**settings), 0.1)
    config = json.loads(json.dumps(flow.config))
    assert config["model"] == "real_nvp"
    again = models.real_nvp(**config["settings"]).eval()
    again.load_state_dict(flow.state_dict())
    z = torch.randn(4, settings["dim"])
    assert torch.equal(again.inverse(z)[0], flow.inverse(z)[0])
    assert again.config == flow.config
    nice = json.loads(json.dumps(models.nice(4, split="half").config))
    assert models.nice(**nice["settings"]).bijection.layers[0].mask.tolist() == [1, 1, 0, 0]


def test_a_compiled_flow_is_the_same_flow():
    flow, x = randomise(models.real_nvp(4, n_layers=3, hidden=8)), torch.randn(5, 4)
    compiled = torch.compile(flow.log_prob, backend="aot_eager")
    expected, found = flow.log_prob(x), compiled(x)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value.sum(), list(flow.parameters())) for value in (found, expected)]
    for of_compiled, of_eager in zip(*gradients):
        torch.testing.assert_close(of_compiled, of_eager)


def test_moons_are_learned():
    flow, target = models.real_nvp(2, n_layers=8, hidden=(32, 32)), moons()
    fit(flow, target, steps=400, lr=5e-3, progress=False)
    estimate, error = kl_to(flow, target, 20_000)
    assert -3 * error < estimate < 0.3  # the nearest mistake in a coupling costs twice that
    assert round_trip_error(flow, target.sample(1000)) < 1e-4


def test_digits_are_learned():
    train, test = (images("digits", part)[0].flatten(1) for part in ("train", "test"))
    flow = models.real_nvp(64, 6, hidden=(64, 64), norm="actnorm", levels=17)
    fit(flow, train, steps=300, lr=3e-3, batch_size=128, progress=False)
    assert 1.9 < bits_per_dim(flow.log_prob(test).mean().item(), 64) < 2.7
    drawn = flow.sample(100)
    assert drawn.min() >= 0
    assert drawn.max() <= 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 1}, "dim must be an integer of at least 2"),
        ({"dim": True}, "dim must be an integer of at least 2"),
        ({"dim": 2, "n_layers": 0}, "n_layers must be"),
        ({"dim": 2, "base": "cauchy"}, "base must be one of logistic, normal"),
        ({"dim": 2, "split": "thirds"}, "split must be one of half, even_odd"),
        ({"dim": 2, "norm": "layernorm"}, "norm must be one of actnorm, batchnorm, None"),
        ({"dim": 2, "hidden": 0}, "hidden must be"),
        ({"dim": 2, "activation": "step"}, "activation must be one of relu, leaky_relu, elu, gelu, silu, tanh"),
        ({"dim": 2, "activation": torch.nn.Tanh}, "activation must be one of"),
        ({"dim": 2, "context_dim": -1}, "context_dim must be"),
        ({"dim": 2, "max_log_scale": 0}, "max_log_scale must be"),
        ({"dim": 2, "levels": 1}, "levels"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.real_nvp(**settings)
