"""Couplings: the kept part passes, the compact and the masked form are one map, log_det counts all that moves."""

import copy
import math

import pytest
import torch
from torch import nn

from nvpkit import ShapeError
from nvpkit.bijections import (
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    CouplingChain,
    MaskedAdditiveCoupling,
    Scaling,
    alternating_mask,
    channel_mask,
    checkerboard_mask,
    half_mask,
)
from nvpkit.nets import MLP
from tests.bijections.zoo import Case, Conv, affine


class FromKept(nn.Module):
    """Let the masked form use the compact form's net: pick the kept entries, put what it emits in their places."""

    def __init__(self, mask, net, numbers=1):
        super().__init__()
        self.kept, self.others, self.net, self.numbers = mask.bool(), ~mask.bool(), net, numbers

    def forward(self, x):
        blocks = []
        for emitted in self.net(x[:, self.kept]).chunk(self.numbers, 1):
            full = torch.full_like(x, 123.0)  # what stands at the kept entries must not matter
            full[:, self.others] = emitted
            blocks.append(full)
        return torch.cat(blocks, 1)


def masked_affine(x, mask, net, m=2.0, gain=None):
    """The layer as Real NVP writes it: z = b x + (1 - b) (x exp(s(b x)) + t(b x)), equation 9."""
    raw, t = net(mask * x).chunk(2, 1)
    s = m * torch.tanh(raw / m) if gain is None else gain * torch.tanh(raw)
    z = mask * x + (1 - mask) * (x * torch.exp(s) + t)
    return z, ((1 - mask) * s).flatten(1).sum(1)


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


@pytest.mark.parametrize("dim", [2, 5, 8])
@pytest.mark.parametrize("make_mask", [half_mask, alternating_mask])
@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize("m", [2.0, 0.5, None])
def test_the_affine_coupling_is_the_papers(dim, make_mask, parity, m):
    mask = make_mask(dim, parity).double()
    layer = Case("paper", lambda: affine(mask, m), (dim,)).layer()
    x = torch.randn(10, dim, dtype=torch.float64)
    z, log_det = layer(x)
    expected, expected_log_det = masked_affine(x, mask, FromKept(mask, layer.net, 2), m, layer.gain)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(log_det, expected_log_det)


@pytest.mark.parametrize(
    "mask", [checkerboard_mask(3, 5, 1), channel_mask(4, 0), (torch.arange(60) % 7 < 3).view(4, 3, 5).float()]
)
def test_the_affine_coupling_on_images_is_the_papers(mask):
    layer = Case("paper", lambda: AffineCoupling(mask, Conv(4, 8)), (4, 3, 5)).layer()
    x = torch.randn(6, 4, 3, 5, dtype=torch.float64)
    z, log_det = layer(x)
    expected, expected_log_det = masked_affine(x, mask.double(), layer.net)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(log_det, expected_log_det)
    kept = mask.bool().expand(4, 3, 5)
    assert torch.equal(z[:, kept], x[:, kept])
    assert bool((z[:, ~kept] != x[:, ~kept]).all())


def test_golden_values():
    # One kept entry 3; raw = (atanh(1/2), 0) with m = 1 gives s = (1/2, 0); t = (10, 20).
    emitted = torch.tensor([[math.atanh(0.5), 0.0, 10.0, 20.0]])
    layer = AffineCoupling([0, 1, 0], lambda kept: emitted * kept / 3, max_log_scale=1.0)
    z, log_det = layer(torch.tensor([[2.0, 3.0, 4.0]]))
    torch.testing.assert_close(z, torch.tensor([[2 * math.exp(0.5) + 10, 3.0, 24.0]]))
    torch.testing.assert_close(log_det, torch.tensor([0.5]))
    back, opposite = layer.inverse(z)
    torch.testing.assert_close(back, torch.tensor([[2.0, 3.0, 4.0]]))
    torch.testing.assert_close(opposite, torch.tensor([-0.5]))


def test_log_det_counts_every_pixel_that_moves():
    layer = AffineCoupling(checkerboard_mask(3, 5, 0), lambda x: torch.ones(len(x), 8, 3, 5))
    _, log_det = layer(torch.randn(2, 4, 3, 5))
    torch.testing.assert_close(log_det, torch.full((2,), 7 * 4 * 2 * math.tanh(0.5)))


@pytest.mark.parametrize("m", [0.5, 2.0, None])
def test_log_scales_are_bounded_whatever_the_net_says(m):
    layer = AffineCoupling(half_mask(4, 0), lambda kept: 1e6 * torch.ones(len(kept), 4), m)
    z, log_det = layer(torch.ones(3, 4))
    assert bool(torch.isfinite(z).all())
    torch.testing.assert_close(log_det, torch.full((3,), 2 * (2.0 if m is None else m)))


def test_the_learned_gain_is_learned():
    layer = AffineCoupling(half_mask(4, 0), MLP(2, 4, 8), max_log_scale=None)
    assert layer.gain.item() == 2.0
    layer(torch.randn(5, 4))[1].sum().backward()
    assert layer.gain.grad.abs() > 0
    assert AffineCoupling(half_mask(4, 0), MLP(2, 4, 8)).gain is None


def test_a_net_that_emits_zeros_makes_the_identity():
    layer, x = AffineCoupling(half_mask(5, 0), MLP(3, 4, 8, zero_last=True)), torch.randn(6, 5)
    z, log_det = layer(x)
    assert torch.equal(z, x)
    assert torch.equal(log_det, torch.zeros(6))


@pytest.mark.parametrize("m", [0, -1.0, math.inf, math.nan, True, "2"])
def test_a_bound_that_bounds_nothing_is_refused(m):
    with pytest.raises(ValueError, match="max_log_scale must be a positive number"):
        AffineCoupling(half_mask(4, 0), MLP(2, 4, 8), m)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (lambda kept: torch.zeros(5, 2), r"\(5, 2\) to \(5, 4\), got \(5, 2\)"),
        (lambda kept: torch.zeros(5, 8), r"\(5, 2\) to \(5, 4\), got \(5, 8\)"),
        (lambda kept: torch.zeros(1, 4), r"\(5, 2\) to \(5, 4\), got \(1, 4\)"),
    ],
)
def test_a_net_of_the_wrong_size_is_named_by_the_affine_coupling(net, expected):
    with pytest.raises(ShapeError, match=f"the net of AffineCoupling must map {expected}"):
        AffineCoupling(half_mask(4, 0), net)(torch.zeros(5, 4))


def test_an_image_net_of_the_wrong_size_is_named():
    layer = AffineCoupling(channel_mask(2, 0), nn.Conv2d(2, 2, 1))
    with pytest.raises(ShapeError, match=r"must map \(3, 2, 4, 4\) to \(3, 4, 4, 4\), got \(3, 2, 4, 4\)"):
        layer(torch.zeros(3, 2, 4, 4))


@pytest.mark.parametrize("mask", [torch.ones(2, 2), torch.eye(4)[None, None], torch.tensor(1.0), torch.ones(0)])
def test_masks_of_a_strange_shape_are_refused(mask):
    with pytest.raises(ValueError, match=r"\(D,\), a mask for images|empty"):
        AffineCoupling(mask, nn.Identity())


def test_a_net_under_autocast_leaves_the_results_their_dtype():
    layer, x = AffineCoupling(half_mask(4, 0), MLP(2, 4, 8)), torch.randn(3, 4)
    exact, _ = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.net(x[:, :2]).dtype == torch.bfloat16
        z, log_det = layer(x)
    assert (z.dtype, log_det.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(z, exact, rtol=0.05, atol=0.05)


def additive(mask):
    kept = int(mask.sum())
    return AdditiveCoupling(mask, MLP(kept, len(mask) - kept, 8))


CHAINS = {
    "halves": lambda: [affine(half_mask(5, i % 2)) for i in range(4)],
    "even and odd": lambda: [affine(alternating_mask(5, i % 2)) for i in range(3)],
    "one half again": lambda: [affine(half_mask(5, 1)), affine(half_mask(5, 1))],
    "two cuts": lambda: [affine(half_mask(5, 0)), affine(alternating_mask(5, 1)), affine(alternating_mask(5, 0))],
    "scalings between": lambda: [Scaling(5), affine(half_mask(5, 0)), Scaling(5), additive(half_mask(5, 1))],
    "additive alone": lambda: [additive(half_mask(5, 0)), additive(half_mask(5, 1))],
    "both kinds": lambda: [additive(half_mask(5, 0)), affine(half_mask(5, 1)), additive(half_mask(5, 0))],
    "one layer": lambda: [affine(half_mask(5, 0))],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_a_coupling_chain_is_the_chain_of_its_couplings(name, way):
    layers = Case(name, lambda: Chain(CHAINS[name]()), (5,)).layer().layers
    x, results = torch.randn(6, 5, dtype=torch.float64), []
    for kind in (Chain, CouplingChain):
        chain = copy.deepcopy(kind(layers))
        y, log_det = getattr(chain, way)(x)
        (y.sin().sum() + log_det.cos().sum()).backward()
        results.append([y, log_det, *(p.grad for p in chain.parameters())])
        assert log_det.shape == (6,)
    for plain, fast in zip(*results):
        torch.testing.assert_close(fast, plain)


def test_a_coupling_chain_hands_on_the_context_and_takes_images():
    vectors = [affine(half_mask(4, i % 2), context_dim=3) for i in range(3)]
    pictures = [AffineCoupling(checkerboard_mask(4, 4, i % 2), Conv(2, 4, 3)) for i in range(3)]
    for layers, shape in ((vectors, (4,)), (pictures, (2, 4, 4))):
        x, context = torch.randn(5, *shape), torch.randn(5, 3)
        for expected, found in zip(Chain(layers)(x, context), CouplingChain(layers)(x, context)):
            torch.testing.assert_close(found, expected)


def test_who_watches_a_coupling_sees_it():
    chain, seen = CouplingChain([affine(half_mask(4, i % 2)) for i in range(3)]), []
    x = torch.randn(2, 4)
    expected = chain(x)[0]
    chain.layers[1].register_forward_hook(lambda layer, inputs, outputs: seen.append(outputs[0].shape))
    torch.testing.assert_close(chain(x)[0], expected)
    assert seen == [(2, 4)]


def test_a_coupling_chain_names_wrong_shapes():
    with pytest.raises(ShapeError, match=r"AffineCoupling expects shape \(B, 4\), got \(2, 3\)"):
        CouplingChain([affine(half_mask(4, 0)), affine(half_mask(4, 1))])(torch.zeros(2, 3))
