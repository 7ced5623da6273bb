"""NICE as the paper has it, and that it learns: figures with bounds on both sides."""

import math

import pytest
import torch

from nvpkit import models
from nvpkit.bijections import AdditiveCoupling, Dequantize, Scaling
from nvpkit.data import images, moons, parabola
from nvpkit.metrics import bits_per_dim, kl_to, log_det_error, round_trip_error
from nvpkit.training import fit


def randomise(flow, scale=0.3):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape))
    return flow


def test_couplings_alternate_and_the_scaling_is_last():
    flow = models.nice(5, n_layers=3, hidden=7)
    *couplings, scaling = flow.bijection.layers
    assert [layer.mask.tolist() for layer in couplings] == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 1, 0, 1]]
    assert all(isinstance(layer, AdditiveCoupling) for layer in couplings)
    assert isinstance(scaling, Scaling)
    assert couplings[0].net.layers[0].weight.shape == (7, 3)
    halves = models.nice(4, split="half").bijection.layers
    assert halves[0].mask.tolist() == [1, 1, 0, 0]


def test_no_weights_are_shared_and_the_start_is_the_identity():
    flow = models.nice(6, n_layers=4)
    assert len({p.data_ptr() for p in flow.parameters()}) == len(list(flow.parameters()))
    x = torch.randn(3, 6)
    assert torch.equal(flow(x)[0], x)


@pytest.mark.parametrize("dim", [2, 5, 64])
@pytest.mark.parametrize("base", ["normal", "logistic"])
def test_log_det_and_round_trip_with_random_weights(dim, base):
    flow, x = randomise(models.nice(dim, hidden=16, base=base).double()), torch.randn(4, dim, dtype=torch.float64)
    assert log_det_error(flow, x) < 1e-9
    assert round_trip_error(flow, x) < 1e-9
    assert not torch.allclose(flow(x)[0], x)


def test_every_entry_sees_every_other_from_three_couplings_on():
    for n_layers, complete in ((2, False), (3, True)):
        flow = randomise(models.nice(4, n_layers, hidden=(32,)), 1.0)
        one = lambda v: flow(v[None])[0][0]  # noqa: B023, E731
        reached = sum(torch.autograd.functional.jacobian(one, torch.randn(4)).abs() for _ in range(5)) > 0
        assert bool(reached.all()) is complete


def test_levels_puts_dequantisation_first():
    flow = models.nice(64, levels=17)
    assert isinstance(flow.bijection.layers[0], Dequantize)
    x = images("digits", "test")[0].flatten(1)[:5]
    # Untrained, on [0, 1]: the logistic's density there, near ln(1/4), and ln 17 lost for each pixel.
    bits = bits_per_dim(flow.log_prob(x), 64)
    assert bits.shape == (5,)
    assert bool(((bits > (math.log(4) - 0.1 + math.log(17)) / math.log(2) - 1) & (bits < 6.6)).all())


def test_parabola_is_learned():
    torch.manual_seed(0)
    flow, target = models.nice(2, hidden=(32, 32)), parabola()
    fit(flow, target, steps=400, lr=1e-2, progress=False)
    estimate, error = kl_to(flow, target, 20_000)
    assert -3 * error < estimate < 0.05
    assert round_trip_error(flow, target.sample(100)) < 1e-5


def test_moons_are_learned_as_far_as_volume_preserving_layers_can():
    torch.manual_seed(0)
    flow, target = models.nice(2), moons()
    fit(flow, target, steps=600, lr=1e-2, progress=False)
    estimate, _ = kl_to(flow, target, 20_000)
    assert 0 < estimate < 0.45


def test_digits_are_learned():
    torch.manual_seed(0)
    train, test = images("digits", "train")[0].flatten(1), images("digits", "test")[0].flatten(1)
    flow = models.nice(64, hidden=(128, 128), levels=17).initialise(train)
    fit(flow, train, steps=600, lr=2e-3, batch_size=128, progress=False)
    bits = bits_per_dim(flow.log_prob(test).mean().item(), 64)
    assert 2.3 < bits < 2.95
    assert round_trip_error(flow, test) == 0
    drawn = flow.sample(200)
    assert drawn.min() >= 0
    assert drawn.max() <= 16
    # Samples have the digits' dark border and bright middle.
    assert abs((drawn.mean(0) - train.float().mean(0)).abs().mean().item()) < 1.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 1}, "at least 2"),
        ({"dim": 2.0}, "at least 2"),
        ({"dim": 2, "n_layers": 0}, "n_layers"),
        ({"dim": 2, "base": "cauchy"}, "logistic, normal"),
        ({"dim": 2, "split": "thirds"}, "half, even_odd"),
        ({"dim": 2, "levels": 1}, "levels"),
    ],
)
def test_nonsense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.nice(**settings)
