"""Squeeze: a permutation of the entries, block by block, in the order 4c + 2 row + column."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import Squeeze, checkerboard_mask
from nvpkit.errors import ShapeError

sizes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(2, 4))


def image(batch, channels, height, width):
    return torch.arange(batch * channels * height * width).reshape(batch, channels, height, width)


@given(sizes)
def test_every_entry_goes_to_its_channel(size):
    batch, channels, height, width, factor = size
    x = image(batch, channels, factor * height, factor * width)
    z, log_det = Squeeze(factor)(x)
    assert z.shape == (batch, factor**2 * channels, height, width)
    for channel in range(channels):
        for row in range(factor):
            for column in range(factor):
                expected = x[:, channel, row::factor, column::factor]
                assert torch.equal(z[:, factor**2 * channel + factor * row + column], expected)
    assert torch.equal(log_det, torch.zeros(batch, dtype=x.dtype))


@given(sizes)
def test_round_trip_both_ways_and_no_entry_is_lost(size):
    batch, channels, height, width, factor = size
    layer = Squeeze(factor)
    x = image(batch, channels, factor * height, factor * width)
    z, _ = layer(x)
    assert torch.equal(layer.inverse(z)[0], x)
    assert torch.equal(z.flatten().sort().values, x.flatten())
    z = image(batch, factor**2 * channels, height, width)
    assert torch.equal(layer(layer.inverse(z)[0])[0], z)


def test_golden_values():
    x = torch.tensor([[[[0, 1, 2, 3], [4, 5, 6, 7]], [[10, 11, 12, 13], [14, 15, 16, 17]]]])
    expected = [[0, 2], [1, 3], [4, 6], [5, 7], [10, 12], [11, 13], [14, 16], [15, 17]]
    assert Squeeze()(x)[0][0, :, 0].tolist() == expected


def test_a_squeezed_checkerboard_is_a_pair_of_channels():
    z, _ = Squeeze()(checkerboard_mask(6, 4, 0)[None])
    assert z[0].flatten(1).unique(dim=1).tolist() == [[1], [0], [0], [1]]


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (1, 1, 4, 5), (2, 3, 7, 7), (1, 1, 0, 4)])
def test_odd_sides_are_named(shape):
    with pytest.raises(ShapeError, match=f"multiples of 2, got {shape[2]} x {shape[3]}"):
        Squeeze()(torch.zeros(shape))


def test_what_is_no_image_is_named():
    for shape in ((3, 4), (4, 4, 4), (1, 1, 1, 4, 4)):
        with pytest.raises(ShapeError, match=r"expects shape \(B, C, H, W\), got"):
            Squeeze()(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"multiple of 4 channels, got shape \(1, 6, 2, 2\)"):
        Squeeze().inverse(torch.zeros(1, 6, 2, 2))
    with pytest.raises(ValueError, match="factor must be"):
        Squeeze(1)
