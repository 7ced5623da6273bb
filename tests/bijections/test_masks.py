"""Masks: 1 is kept, the two parities share out all entries, odd dimensions give the first half one more."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import alternating_mask, half_mask

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
