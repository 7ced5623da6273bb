"""Equalize is the distribution function of the grey levels: exact both ways, and the identity before it saw data."""

import math

import pytest
import torch

from nvpkit.bijections import Chain, Dequantize, Equalize, Logit


@pytest.fixture
def layer():
    made = Equalize(levels=5).double()
    made.initialise((torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 3, 4]]).double() + 0.5) / 5)
    return made


def test_share_of_a_level_is_its_frequency(layer):
    assert torch.allclose(layer.knots.diff(), torch.tensor([0.6, 0.2, 0, 0.1, 0.1]).double(), atol=1e-3)
    assert (layer.knots.diff() > 0).all()
    assert layer.knots[[0, -1]].tolist() == [0, 1]


def test_background_takes_the_given_share_and_the_others_keep_their_proportions(layer):
    other = Equalize(levels=5, background=0.9).double()
    other.initialise((torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 3, 4]]).double() + 0.5) / 5)
    share, plain = other.knots.diff(), layer.knots.diff()
    assert share[0] == pytest.approx(0.9, abs=1e-15)
    assert torch.allclose(share[1:] / share[1:].sum(), plain[1:] / plain[1:].sum(), rtol=1e-12)


def test_log_det_is_the_log_derivative(layer):
    x = torch.rand(50, 7, dtype=torch.float64, requires_grad=True)
    z, log_det = layer(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    assert torch.allclose(log_det, slope.log().sum(1), atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-3)])
def test_round_trip_and_log_dets_cancel(layer, dtype, tolerance):
    # The empty level has share 2e-4: rounding of its image is magnified a thousandfold on the way back.
    layer = layer.to(dtype)
    x = torch.rand(200, 3, 4, 4, dtype=dtype)
    z, log_det = layer(x)
    back, other = layer.inverse(z)
    assert z.dtype == back.dtype == log_det.dtype == dtype
    assert (back - x).abs().max() < tolerance
    assert 0 <= z.min() <= z.max() <= 1
    if dtype == torch.float64:
        assert (log_det + other).abs().max() < 1e-10


def test_density_integrates_to_one_over_the_integers():
    layers = Chain([Dequantize(5), Equalize(5, background=0.5)]).double()
    layers.layers[1].initialise(torch.rand(1, 100, dtype=torch.float64) ** 2)
    mass = layers(torch.arange(5)[:, None])[1].exp()  # uniform density on [0, 1]: the mass of each level
    assert mass.sum().item() == pytest.approx(1, abs=1e-12)


def test_identity_before_data_and_state_survives_saving(layer):
    fresh = Equalize(levels=5).double()
    x = torch.rand(4, 6, dtype=torch.float64)
    z, log_det = fresh(x)
    assert torch.allclose(z, x, atol=1e-7)
    assert log_det.abs().max() < 1e-6
    assert not fresh.initialised
    fresh.load_state_dict(layer.state_dict())
    assert fresh.initialised
    assert torch.equal(fresh(x)[0], layer(x)[0])


def test_equalised_pixels_are_logistic_after_logit():
    """Uniform pixels are what equalisation makes; their logit has mean 0 and variance pi^2 / 3."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 4, (200, 100)) * torch.randint(0, 2, (200, 100))
    layers = Chain([Dequantize(4), Equalize(4), Logit(1e-5)]).double()
    layers.initialise(pixels)
    z, _ = layers(pixels)
    assert abs(z.mean()) < 0.05
    assert z.var().item() == pytest.approx(math.pi**2 / 3, rel=0.05)


def test_bad_settings_and_inputs_are_named():
    with pytest.raises(ValueError, match="levels must be"):
        Equalize(levels=1)
    with pytest.raises(ValueError, match="background must be a share"):
        Equalize(background=1.0)
    with pytest.raises(ValueError, match=r"values in \[0, 1\], got values from 0 to 255"):
        Equalize().initialise(torch.tensor([[0.0, 255.0]]))
