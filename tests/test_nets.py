"""The MLP has the layers that it is asked for."""

import pytest
import torch
from torch import nn

from nvpkit.nets import MLP


def test_widths_activation_and_a_linear_end():
    net = MLP(3, 5, hidden=(7, 8), activation=nn.Tanh)
    shapes = [tuple(layer.weight.shape) for layer in net.layers if isinstance(layer, nn.Linear)]
    assert shapes == [(7, 3), (8, 7), (5, 8)]
    assert isinstance(net.layers[-1], nn.Linear)
    assert sum(isinstance(layer, nn.Tanh) for layer in net.layers) == 2


def test_zero_last_starts_at_zero_and_still_learns():
    net = MLP(3, 2, 8, zero_last=True)
    x = torch.randn(4, 3)
    assert torch.equal(net(x), torch.zeros(4, 2))
    net(x).sum().backward()
    assert net.layers[-1].weight.grad.abs().sum() > 0


def test_dropout_acts_in_training_only():
    net, x = MLP(3, 2, 64, dropout=0.5), torch.randn(4, 3)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_context_is_seen():
    net = MLP(3, 2, 8, context_dim=4)
    x = torch.randn(5, 3)
    assert not torch.equal(net(x, torch.zeros(5, 4)), net(x, torch.ones(5, 4)))
    with pytest.raises(ValueError, match="context_dim=4, the context given is none"):
        net(x)
    with pytest.raises(ValueError, match=r"context_dim=0, the context given is one of shape \(5, 4\)"):
        MLP(3, 2)(x, torch.zeros(5, 4))


@pytest.mark.parametrize("hidden", [0, (8, 0), (8.0,)])
def test_widths_are_positive_integers(hidden):
    with pytest.raises(ValueError, match="hidden must be"):
        MLP(2, 2, hidden)
