"""Reordering: every entry arrives once, at its place, and comes back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nvpkit.bijections import Chain, Flip, Permutation


@given(order=st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))))
def test_entry_i_is_entry_order_i_and_comes_back(order):
    x = torch.arange(len(order))[None] * 10
    z, log_det = Permutation(order)(x)
    assert z[0].tolist() == [10 * i for i in order]
    assert torch.equal(Permutation(order).inverse(z)[0], x)
    assert log_det.tolist() == [0]


@given(dim=st.integers(1, 30))
def test_flip_is_the_permutation_that_counts_down_and_its_own_inverse(dim):
    x = torch.randn(3, dim, 2, 2)
    assert torch.equal(Flip(dim)(x)[0], Permutation(range(dim - 1, -1, -1))(x)[0])
    assert torch.equal(Chain([Flip(dim), Flip(dim)])(x)[0], x)


def test_a_random_order_is_saved_with_the_layer():
    one, other = Permutation(torch.randperm(50)), Permutation(torch.arange(50))
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 50)
    assert torch.equal(one(x)[0], other(x)[0])
    assert torch.equal(one.inverse(x)[0], other.inverse(x)[0])


@pytest.mark.parametrize("order", [[0, 0], [1, 2], [], [[0, 1]], [0.5, 1.5]])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match=r"each of 0..D-1 once"):
        Permutation(order)


@pytest.mark.parametrize("dim", [0, 2.0, True])
def test_flip_needs_a_dimension(dim):
    with pytest.raises(ValueError, match="at least 1"):
        Flip(dim)
