"""Conditioners: an MLP has the layers that it is asked for, a residual net keeps the pixels."""

import copy

import pytest
import torch
from torch import nn

from nvpkit.errors import ShapeError
from nvpkit.nets import ACTIVATIONS, MLP, ConvResNet


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


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_by_name_are_there_and_leave_the_input_alone(activation):
    net, x = MLP(3, 2, (8, 8), activation), torch.randn(4, 3)
    before = x.clone()
    net(x).sum().backward()
    assert torch.equal(x, before)
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    straight = nn.Sequential(*(layer for layer in net.layers if isinstance(layer, nn.Linear)))
    assert not torch.allclose(net(x), straight(x))


def test_a_net_is_what_its_weights_say():
    net, x = MLP(3, 2, (8,)), torch.randn(4, 3)
    first, last = net.layers[0], net.layers[-1]
    torch.testing.assert_close(net(x), (x @ first.weight.T + first.bias).clamp_min(0) @ last.weight.T + last.bias)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "relux"}, "relu, leaky_relu, elu, gelu, silu, tanh, got 'relux'"),
        ({"context_dim": -1}, "context_dim must be"),
        ({"context_dim": 1.0}, "context_dim must be"),
    ],
)
def test_settings_that_make_no_net_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MLP(2, 2, 4, **settings)


@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (5, 4, 1)])
def test_a_context_of_the_wrong_shape_is_named(shape):
    with pytest.raises(ShapeError, match=r"expects a context of shape \(5, 4\), got"):
        MLP(3, 2, 8, context_dim=4)(torch.randn(5, 3), torch.randn(shape))


def test_hooks_on_inner_layers_are_called():
    net, seen = MLP(3, 2, (8,)), []
    net.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
    net.layers[2].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape))
    net(torch.randn(4, 3))
    assert seen == [(4, 8), (4, 8)]


@pytest.mark.parametrize("hidden", [0, (8, 0), (8.0,)])
def test_widths_are_positive_integers(hidden):
    with pytest.raises(ValueError, match="hidden must be"):
        MLP(2, 2, hidden)


def smooth(x):
    return x + 0.3 * torch.randn_like(x)


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("skips", [False, True])
def test_a_residual_net_keeps_pixels_starts_at_zero_and_every_weight_learns(weight_norm, norm, skips):
    net = ConvResNet(3, 6, 5, 2, weight_norm=weight_norm, norm=norm, zero_last=True, skips=skips)
    x = torch.randn(4, 3, 5, 7)
    assert torch.equal(net(x), torch.zeros(4, 6, 5, 7))
    net(x).sum().backward()
    length = net.last[-1].parametrizations.weight.original0 if weight_norm else net.last[-1].weight
    assert length.grad.abs().sum() > 0
    for parameter in net.parameters():
        parameter.data = smooth(parameter.data)
    net.zero_grad()
    net(x).square().sum().backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, label


def test_weight_norm_survives_copy_save_and_load(tmp_path):
    net, other = (ConvResNet(2, 4, 5, 1, weight_norm=True) for _ in range(2))
    x = torch.randn(2, 2, 4, 4)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(net(x), other(x))
    assert torch.equal(net(x), copy.deepcopy(net)(x))


def test_a_pixel_sees_its_surroundings_as_far_as_the_convolutions_reach():
    net = ConvResNet(1, 1, 4, 1)
    x = torch.zeros(1, 1, 15, 15, requires_grad=True)
    net(x)[0, 0, 7, 7].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert rows.tolist() == list(range(4, 11))  # three 3x3 convolutions
    net = ConvResNet(1, 1, 4, 1, kernels=(3, 1))
    assert [layer.kernel_size for layer in net.blocks[0] if isinstance(layer, torch.nn.Conv2d)] == [(3, 3), (1, 1)]


def test_a_residual_net_sees_a_context_of_numbers_or_of_pixels():
    net, x = ConvResNet(2, 3, 4, 1, context_dim=5), torch.randn(2, 2, 4, 6)
    context = torch.randn(2, 5)
    of_pixels = context[:, :, None, None].expand(2, 5, 4, 6)
    torch.testing.assert_close(net(x, context), net(x, of_pixels))
    assert not torch.allclose(net(x, context), net(x, context + 1))
    with pytest.raises(ValueError, match="context_dim=5, the context is none"):
        net(x)
    with pytest.raises(ValueError, match=r"context_dim=0, the context is one of shape \(2, 5\)"):
        ConvResNet(2, 3)(x, context)
    for wrong in (torch.zeros(2, 4), torch.zeros(1, 5), torch.zeros(2, 5, 6, 4)):
        with pytest.raises(ShapeError, match=r"a context of shape \(2, 5\), with or without the pixels \(4, 6\)"):
            net(x, wrong)


def test_images_that_a_residual_net_was_not_made_for_are_named():
    for shape in ((2, 3, 4, 4), (2, 4, 4), (2, 2)):
        with pytest.raises(ShapeError, match=r"expects shape \(B, 2, H, W\), got"):
            ConvResNet(2, 4)(torch.zeros(shape))


@pytest.mark.parametrize(
    "settings",
    [{"width": 0}, {"n_blocks": -1}, {"in_channels": 0}, {"context_dim": 1.5}, {"norm": "layer"}, {"kernels": ()}],
)
def test_a_residual_net_without_meaning_is_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        ConvResNet(**{"in_channels": 1, "out_channels": 2, **settings})
