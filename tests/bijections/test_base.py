"""Chain composes; a layer without an inverse says so."""

import pytest
import torch

from nvpkit.bijections import ActNorm, AffineCoupling, BatchNorm, Bijection, Chain, Scaling, Squeeze, half_mask
from nvpkit.errors import InverseNotAvailable
from nvpkit.nets import MLP


class Shift(Bijection):
    def forward(self, x, context=None):
        return x + 1, x.new_zeros(len(x))


class Double(Bijection):
    def forward(self, x, context=None):
        return 2 * x, x.new_full((len(x),), x.shape[1] * 0.6931471805599453)

    def inverse(self, z, context=None):
        return z / 2, z.new_full((len(z),), -z.shape[1] * 0.6931471805599453)


def test_a_chain_runs_in_order_and_adds_log_dets():
    z, log_det = Chain([Double(), Shift(), Double()])(torch.tensor([[1.0, 10.0, 100.0]]))
    assert z.tolist() == [[6.0, 42.0, 402.0]]
    torch.testing.assert_close(log_det, torch.full((1,), 6 * 0.6931471805599453))


def test_no_inverse_is_said_with_the_name_of_the_layer():
    with pytest.raises(InverseNotAvailable, match="Shift has no inverse"):
        Chain([Double(), Shift()]).inverse(torch.zeros(1, 3))


def test_a_bijection_without_forward_says_what_is_missing():
    with pytest.raises(TypeError, match=r"must define forward"):
        Bijection()(torch.zeros(1, 2))


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        Chain([])


def test_initialise_gives_each_scaling_what_the_layers_before_it_make():
    x = torch.randn(500, 2) * torch.tensor([3.0, 0.1])
    chain = Chain([Scaling(2), Double(), Scaling(2)])
    chain.initialise(x)
    z, _ = chain(x)
    torch.testing.assert_close(z.std(0), torch.ones(2))
    torch.testing.assert_close(chain.layers[2].s, torch.full((2,), -0.6931472), rtol=0, atol=1e-5)


def test_scaling_keeps_the_scale_of_an_entry_that_never_changes():
    scaling = Scaling(2)
    scaling.initialise(torch.stack([torch.full((10,), 7.0), torch.arange(10.0)], 1))
    assert scaling.s[0] == 0
    assert scaling.s[1] < 0
    with pytest.raises(ValueError, match="two samples"):
        scaling.initialise(torch.zeros(1, 2))


def test_initialise_hands_the_context_on():
    x, context = torch.randn(1500, 2), 3 * torch.randn(1500, 1)
    coupling = AffineCoupling(half_mask(2), MLP(1, 2, 8, "tanh", context_dim=1))
    coupling.net.layers[-1].weight.data *= 5
    chain = Chain([coupling, ActNorm(2)])
    chain.initialise(x, context)
    z, _ = chain(x, context)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(2))


def test_initialise_leaves_modes_as_they_were_and_statistics_as_it_set_them():
    # 1,001 rows: no part may be a single row, of which batch norm could make nothing.
    x, chain = 5 * torch.randn(1001, 2), Chain([BatchNorm(2), BatchNorm(2), ActNorm(2)])
    chain.layers[1].eval()
    chain.initialise(x)
    assert [layer.training for layer in chain.layers] == [True, False, True]
    torch.testing.assert_close(chain.layers[0].running_var, x.var(0, correction=0))
    torch.testing.assert_close(chain.layers[1].running_var, torch.ones(2), rtol=0, atol=1e-4)


def test_a_chain_knows_the_shape_of_its_latent():
    assert Chain([Squeeze(), ActNorm(4), Squeeze()]).output_shape((1, 8, 12)) == (16, 2, 3)


def test_layers_that_set_themselves_from_data_do_not_do_so_under_compile():
    layer, x = Chain([ActNorm(2), BatchNorm(2)]), 3 * torch.randn(8, 2)
    z, _ = torch.compile(layer, backend="eager", fullgraph=True)(x)
    assert not layer.layers[0].initialised
    torch.testing.assert_close(z, BatchNorm(2)(x)[0])
