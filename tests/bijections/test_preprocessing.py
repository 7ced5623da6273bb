"""Dequantisation: integers come back, noise is uniform, the log-det counts levels. Logit: stable at both ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import Chain, Dequantize, Logit


@given(levels=st.integers(2, 1024), seed=st.integers(0, 2**32 - 1))
def test_every_integer_comes_back(levels, seed):
    x = torch.arange(levels).expand(2, -1)
    layer = Dequantize(levels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        z, _ = layer(x)
    assert bool(((z >= 0) & (z <= 1)).all())
    assert torch.equal(layer.inverse(z)[0], x.float())


@pytest.mark.parametrize("edge", [0.0, 1 - 2**-24, 1.0])
@pytest.mark.parametrize("levels", [2, 17, 255, 256])
def test_noise_at_the_edge_does_not_carry_into_the_next_cell(levels, edge):
    x = torch.arange(levels)[None].float()
    layer = Dequantize(levels)
    z, _ = layer(x, noise=torch.full_like(x, edge))
    assert torch.equal(layer.inverse(z)[0], x)


def test_log_det_is_minus_d_ln_levels_and_cancels():
    layer = Dequantize(17)
    z, log_det = layer(torch.zeros(3, 1, 8, 8))
    torch.testing.assert_close(log_det, torch.full((3,), -64 * math.log(17)))
    torch.testing.assert_close(log_det + layer.inverse(z)[1], torch.zeros(3))


def test_noise_is_fresh_and_uniform_within_the_cell():
    layer, x = Dequantize(4), torch.full((20_000, 1), 2)
    first, second = (4 * layer(x)[0] - 2 for _ in range(2))
    assert not torch.equal(first, second)
    assert abs(first.mean().item() - 0.5) < 0.01
    assert abs(first.var().item() - 1 / 12) < 0.003


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_integers_come_out_in_the_layers_own_dtype(dtype):
    x = torch.zeros(2, 3, dtype=dtype)
    assert Dequantize()(x)[0].dtype == torch.float32
    z, log_det = Dequantize().double()(x)
    assert (z.dtype, log_det.dtype) == (torch.float64, torch.float64)
    assert Dequantize()(x.double())[0].dtype == torch.float64


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[17]]), "from 17 to 17"),
        (torch.tensor([[-1.0]]), "from -1"),
        (torch.tensor([[0.5]]), "fractions"),
    ],
)
def test_what_is_no_integer_image_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        Dequantize(17).check_input(x)


@pytest.mark.parametrize("levels", [1, 2.0, True])
def test_levels_must_be_a_number_of_levels(levels):
    with pytest.raises(ValueError, match="levels must be"):
        Dequantize(levels)


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
def test_logit_is_the_logit_and_its_log_det_the_sum_of_log_slopes(alpha):
    x = torch.linspace(0, 1, 101, dtype=torch.float64).reshape(1, 1, 101)
    z, log_det = Logit(alpha)(x)
    p = alpha + (1 - 2 * alpha) * x
    torch.testing.assert_close(z, (p / (1 - p)).log())
    torch.testing.assert_close(log_det, ((1 - 2 * alpha) / (p * (1 - p))).log().sum((1, 2)))


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logit_is_odd_around_one_half_up_to_rounding_at_both_ends(alpha, dtype):
    near = torch.tensor([[0.0, 1e-6, 1e-3, 0.25]], dtype=dtype)
    left, right = (Logit(alpha)(x)[0] for x in (near, 1 - near))
    torch.testing.assert_close(left[:, :1], -right[:, :1])
    torch.testing.assert_close(left, -right, rtol=0, atol=0.2 if dtype == torch.float32 and alpha < 1e-3 else 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logit_inverse_is_stable_for_any_latent(dtype):
    z = torch.tensor([[-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4]], dtype=dtype)
    x, log_det = Logit().inverse(z)
    assert bool(((x > -0.06) & (x < 1.06)).all())
    expected = -7 * math.log(0.9) - 2 * (1e4 + 100 + 20) - 2 * math.log(2) - 4 * math.log1p(math.exp(-20))
    torch.testing.assert_close(log_det, torch.tensor([expected], dtype=dtype), rtol=1e-6, atol=0)


def test_dequantize_then_logit_is_a_flow_on_integers():
    chain, x = Chain([Dequantize(4), Logit()]), torch.tensor([[0, 1, 2, 3]])
    assert torch.equal(chain.inverse(chain(x)[0])[0], x.float())
    assert chain.inverse(torch.tensor([[-50.0, 50.0]]))[0].tolist() == [[0.0, 3.0]]


@pytest.mark.parametrize("x", [torch.tensor([[0.0, 200.0]]), torch.tensor([[-0.1, 0.5]])])
def test_logit_refuses_what_is_no_unit_interval(x):
    with pytest.raises(ValueError, match=r"values in \[0, 1\], got values from"):
        Logit().check_input(x)
    Logit().check_input(Logit().inverse(torch.randn(10, 10))[0])


@pytest.mark.parametrize("alpha", [0.0, 0.5, -0.1, True])
def test_alpha_must_leave_an_interval(alpha):
    with pytest.raises(ValueError, match="alpha must lie"):
        Logit(alpha)
