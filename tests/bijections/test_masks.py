"""Masks: 1 is kept, the two parities share out all entries, odd dimensions give the first half one more."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import alternating_mask, channel_mask, checkerboard_mask, half_mask, nested_masks

MASKS = {"half": half_mask, "alternating": alternating_mask}
dims = st.integers(1, 300)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@given(dim=dims)
def test_the_two_parities_share_out_every_entry(mask, dim):
    first, second = mask(dim, 0), mask(dim, 1)
    assert first.shape == second.shape == (dim,)
    assert first.dtype == torch.get_default_dtype()
    assert torch.equal(first + second, torch.ones(dim))
    assert set(first.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@given(dim=dims)
def test_parity_0_keeps_ceil_of_half(mask, dim):
    assert mask(dim, 0).sum() == (dim + 1) // 2


@given(dim=dims)
def test_a_half_mask_is_one_block(dim):
    assert torch.equal(half_mask(dim, 0).sort(descending=True).values, half_mask(dim, 0))


@given(dim=st.integers(2, 300), parity=st.sampled_from([0, 1]))
def test_an_alternating_mask_never_repeats(dim, parity):
    mask = alternating_mask(dim, parity)
    assert mask[0] == 1 - parity
    assert bool((mask[1:] != mask[:-1]).all())


def test_golden_values():
    assert half_mask(5, 0).tolist() == [1, 1, 1, 0, 0]
    assert half_mask(5, 1).tolist() == [0, 0, 0, 1, 1]
    assert alternating_mask(5, 0).tolist() == [1, 0, 1, 0, 1]
    assert alternating_mask(5, 1).tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("dim", "parity"), [(0, 0), (2.0, 0), (True, 0), (4, 2), (4, -1)])
def test_nonsense_is_refused(mask, dim, parity):
    with pytest.raises(ValueError, match="must be"):
        mask(dim, parity)


sides = st.integers(1, 40)


@given(height=sides, width=sides)
def test_checkerboard_parities_share_out_every_pixel_and_neighbours_differ(height, width):
    first, second = checkerboard_mask(height, width, 0), checkerboard_mask(height, width, 1)
    assert first.shape == second.shape == (1, height, width)
    assert first.dtype == torch.get_default_dtype()
    assert torch.equal(first + second, torch.ones(1, height, width))
    assert first.sum() == (height * width + 1) // 2
    assert bool((first[:, 1:] != first[:, :-1]).all())
    assert bool((first[:, :, 1:] != first[:, :, :-1]).all())


@given(channels=dims)
def test_channel_parities_share_out_every_channel_in_two_blocks(channels):
    first, second = channel_mask(channels, 0), channel_mask(channels, 1)
    assert first.shape == (channels, 1, 1)
    assert torch.equal(first + second, torch.ones(channels, 1, 1))
    assert torch.equal(first.flatten(), half_mask(channels, 0))


@given(dim=st.integers(2, 2000))
def test_nested_masks_halve_come_in_mirrored_pairs_and_let_every_entry_change(dim):
    masks = nested_masks(dim)
    assert len(masks) == 2 * (dim.bit_length() - 1)
    for i, mask in enumerate(masks):
        assert mask.shape == (dim,)
        assert mask.sum() == dim >> (i // 2 + 1)
        assert torch.equal(mask, masks[i ^ 1].flip(0))
    for first, second in zip(masks[::2], masks[1::2]):
        assert not bool((first * second).any()), "an entry that both keep does not change in this pair"


def test_golden_values_of_images():
    assert checkerboard_mask(2, 3, 0).tolist() == [[[1, 0, 1], [0, 1, 0]]]
    assert checkerboard_mask(2, 3, 1).tolist() == [[[0, 1, 0], [1, 0, 1]]]
    assert channel_mask(3, 0).flatten().tolist() == [1, 1, 0]
    assert [int(mask.sum()) for mask in nested_masks(256)[::2]] == [128, 64, 32, 16, 8, 4, 2, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: checkerboard_mask(0, 4),
        lambda: checkerboard_mask(4, 2.0),
        lambda: checkerboard_mask(4, 4, 2),
        lambda: channel_mask(0),
        lambda: channel_mask(4, 3),
        lambda: nested_masks(1),
        lambda: nested_masks(2.0),
    ],
)
def test_nonsense_for_images_is_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()
