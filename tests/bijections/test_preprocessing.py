"""Dequantisation: integers come back, the noise is uniform, the log-det counts levels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import Dequantize


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
