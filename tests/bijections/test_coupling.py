"""Additive couplings: volume is kept, the kept part passes, the compact and the masked form are one map."""

import pytest
import torch
from torch import nn

from nvpkit import ShapeError
from nvpkit.bijections import AdditiveCoupling, Chain, MaskedAdditiveCoupling, alternating_mask, half_mask
from nvpkit.nets import MLP


class FromKept(nn.Module):
    """Let the masked form use the compact form's net: pick the kept entries, put the shifts in their places."""

    def __init__(self, mask, net):
        super().__init__()
        self.kept, self.others, self.net = mask.bool(), ~mask.bool(), net

    def forward(self, x):
        full = torch.full_like(x, 123.0)  # what stands at the kept entries must not matter
        full[:, self.others] = self.net(x[:, self.kept])
        return full


@pytest.mark.parametrize("dim", [2, 5, 8])
@pytest.mark.parametrize("make_mask", [half_mask, alternating_mask])
@pytest.mark.parametrize("parity", [0, 1])
def test_compact_and_masked_forms_agree(dim, make_mask, parity):
    mask = make_mask(dim, parity)
    kept = int(mask.sum())
    net = MLP(kept, dim - kept, (16,)).double()
    compact, masked = AdditiveCoupling(mask, net), MaskedAdditiveCoupling(mask, FromKept(mask, net))
    x = torch.randn(10, dim, dtype=torch.float64)
    for a, b in ((compact(x), masked(x)), (compact.inverse(x), masked.inverse(x))):
        torch.testing.assert_close(a[0], b[0])
        torch.testing.assert_close(a[1], b[1])
    assert torch.equal(compact.mask.double(), masked.mask.double())


def test_the_kept_part_passes_bit_for_bit_and_the_rest_moves():
    mask = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    coupling = AdditiveCoupling(mask, MLP(3, 2, 16))
    x = torch.randn(20, 5)
    z, log_det = coupling(x)
    assert torch.equal(z[:, mask == 1], x[:, mask == 1])
    assert bool((z[:, mask == 0] != x[:, mask == 0]).all())
    assert torch.equal(log_det, torch.zeros(20))


def test_shifts_land_on_their_own_entries():
    coupling = AdditiveCoupling(torch.tensor([0.0, 1.0, 0.0]), lambda kept: torch.cat([10 * kept, 100 * kept], 1))
    assert coupling(torch.tensor([[1.0, 2.0, 3.0]]))[0].tolist() == [[21.0, 2.0, 203.0]]
    assert coupling.inverse(torch.tensor([[21.0, 2.0, 203.0]]))[0].tolist() == [[1.0, 2.0, 3.0]]


def test_two_alternating_couplings_leave_no_identity_row():
    chain = Chain([AdditiveCoupling(half_mask(4, parity), MLP(2, 2, 16, activation=nn.Tanh)) for parity in (0, 1)])
    jacobian = torch.autograd.functional.jacobian(lambda v: chain(v[None])[0][0], torch.randn(4))
    off_diagonal = jacobian - torch.diag(jacobian.diag())
    assert bool((off_diagonal.abs().sum(1) > 0).all())


@pytest.mark.parametrize("kind", [AdditiveCoupling, MaskedAdditiveCoupling])
def test_context_reaches_the_net(kind):
    sizes = (2, 2) if kind is AdditiveCoupling else (4, 4)
    coupling = kind(half_mask(4, 0), MLP(*sizes, 16, context_dim=3))
    x, context = torch.randn(5, 4), torch.randn(5, 3)
    z, _ = coupling(x, context)
    torch.testing.assert_close(coupling.inverse(z, context)[0], x)
    assert not torch.allclose(z, coupling(x, context + 1)[0])
    with pytest.raises(ValueError, match="context_dim=3"):
        coupling(x)


@pytest.mark.parametrize("kind", [AdditiveCoupling, MaskedAdditiveCoupling])
def test_a_net_of_the_wrong_size_is_named(kind):
    with pytest.raises(ShapeError, match=r"must map \(5, ."):
        kind(half_mask(4, 0), lambda kept: torch.zeros(5, 3))(torch.zeros(5, 4))


@pytest.mark.parametrize("kind", [AdditiveCoupling, MaskedAdditiveCoupling])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3), "all 1"),
        (torch.zeros(3), "all 0"),
        (torch.tensor([0.0, 0.5, 1.0]), "only 0"),
        (torch.ones(2, 2), r"\(D,\)"),
    ],
)
def test_masks_that_are_no_masks_are_refused(kind, mask, message):
    with pytest.raises(ValueError, match=message):
        kind(mask, nn.Identity())


@pytest.mark.parametrize("mask", [torch.tensor([True, False]), torch.tensor([1, 0]), [1, 0]])
def test_masks_of_any_number_type_will_do(mask):
    assert AdditiveCoupling(mask, nn.Linear(1, 1)).mask.tolist() == [1.0, 0.0]


def test_a_loaded_state_brings_its_own_split():
    one, other = (AdditiveCoupling(half_mask(4, parity), nn.Linear(2, 2)) for parity in (0, 1))
    other.load_state_dict(one.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(one(x)[0], other(x)[0])
    assert torch.equal(other.mask, half_mask(4, 0))
