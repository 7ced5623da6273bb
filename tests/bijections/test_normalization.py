"""Normalisation layers: statistics as nn.BatchNorm's up to N - 1 for N, eval apart from the batch, H W log-dets."""

import copy

import pytest
import torch
from torch import nn

from nvpkit.bijections import ActNorm, BatchNorm, Chain, Scaling
from nvpkit.errors import ShapeError

VECTORS, IMAGES = (40, 5), (6, 5, 3, 4)
shapes = pytest.mark.parametrize("shape", [VECTORS, IMAGES], ids=["vectors", "images"])


def randomised(layer, scale=0.5):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return layer


def used_batch_norm(**settings):
    """A layer whose parameters and running statistics are no longer those of the start."""
    layer = randomised(BatchNorm(5, **settings).double())
    layer.running_mean.copy_(torch.randn(5))
    layer.running_var.copy_(torch.rand(5) + 0.5)
    return layer


def slogdet(function, x):
    """log|det J| of each sample by autograd."""
    jacobian = [torch.autograd.functional.jacobian(lambda v: function(v[None])[0][0], v) for v in x]
    return torch.stack([torch.linalg.slogdet(j.reshape(v.numel(), v.numel()))[1] for j, v in zip(jacobian, x)])


def per_feature(x):
    return x.transpose(0, 1).flatten(1)


@shapes
def test_batch_norm_does_what_nn_batch_norm_does(shape):
    ours = randomised(BatchNorm(5, eps=1e-3, momentum=0.3))
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5, eps=1e-3, momentum=0.3)
    theirs.weight.data, theirs.bias.data = ours.log_gamma.data.exp(), ours.beta.data
    n = per_feature(torch.empty(shape)).shape[1]
    unbiased = torch.ones(5)  # what running_var would be with N - 1 for N
    for _ in range(3):
        x = 3 * torch.randn(shape) + 7
        torch.testing.assert_close(ours(x)[0], theirs(x), rtol=0, atol=1e-5)
        unbiased = 0.7 * unbiased + 0.3 * per_feature(x).var(1, correction=0) * n / (n - 1)
        torch.testing.assert_close(theirs.running_var, unbiased)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    # Each step's share carries the factor, the start value (.7^3 of 1) does not.
    torch.testing.assert_close(ours.running_var - 0.343, (theirs.running_var - 0.343) * (n - 1) / n)
    theirs.running_var.copy_(ours.running_var)
    torch.testing.assert_close(ours.eval()(x)[0], theirs.eval()(x), rtol=0, atol=1e-5)


@shapes
def test_batch_norm_log_det_in_eval_is_that_of_the_jacobian_both_ways(shape):
    layer, x = used_batch_norm().eval(), torch.randn(shape, dtype=torch.float64)[:3]
    for function in (layer.forward, layer.inverse):
        torch.testing.assert_close(function(x)[1], slogdet(function, x), rtol=0, atol=1e-10)


@shapes
def test_batch_norm_log_det_in_training_takes_the_statistics_as_constants(shape):
    layer, x = used_batch_norm(), 2 * torch.randn(shape, dtype=torch.float64)
    _, log_det = layer(x)
    frozen = copy.deepcopy(layer).eval()
    frozen.running_mean.copy_(per_feature(x).mean(1))
    frozen.running_var.copy_(per_feature(x).var(1, correction=0))
    torch.testing.assert_close(log_det, frozen(x)[1])
    torch.testing.assert_close(layer(x)[0], frozen(x)[0])


@shapes
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_round_trip(shape, training):
    layer, x = used_batch_norm().train(training), torch.randn(shape, dtype=torch.float64)
    z, log_det = layer(x)
    again, opposite = layer.inverse(z)
    torch.testing.assert_close(again, x)
    torch.testing.assert_close(log_det + opposite, torch.zeros(len(x), dtype=x.dtype))


def test_inverse_in_training_uses_the_last_batch_and_the_running_statistics_before_any():
    layer, z = used_batch_norm(), torch.randn(4, 5, dtype=torch.float64)
    before = layer.inverse(z)[0]
    torch.testing.assert_close(before, layer.eval().inverse(z)[0])
    x = 10 * torch.randn(30, 5, dtype=torch.float64)
    layer.train()(torch.randn(30, 5, dtype=torch.float64))
    layer(x)
    std = (x.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(layer.inverse(z)[0], (z - layer.beta) * (-layer.log_gamma).exp() * std + x.mean(0))
    layer.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer.inverse(z)[0], layer.eval().inverse(z)[0])


@shapes
def test_gradients_flow_through_batch_mean_and_variance(shape):
    layer, x = randomised(BatchNorm(5).double()), torch.randn(shape, dtype=torch.float64)
    # Moving or stretching the whole batch changes nothing in z: only a gradient through both statistics knows that.
    weights = torch.randn(shape, dtype=torch.float64)
    x.requires_grad_()
    gradient = torch.autograd.grad((weights * layer(x)[0]).sum(), x)[0]
    torch.testing.assert_close(per_feature(gradient).sum(1), torch.zeros(5).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(per_feature(gradient * x).sum(1), torch.zeros(5).double(), rtol=0, atol=1e-3)
    assert torch.autograd.gradcheck(lambda v: layer(v), x.detach()[:3].requires_grad_())


@shapes
def test_eval_never_changes_a_buffer_and_does_not_see_the_batch(shape):
    layer, x = used_batch_norm().eval(), torch.randn(shape, dtype=torch.float64)
    before = copy.deepcopy(dict(layer.named_buffers()))
    z, log_det = layer(x)
    layer.inverse(x)
    torch.testing.assert_close(layer(x[:1])[0], z[:1])
    torch.testing.assert_close(layer(x[:1])[1], log_det[:1])
    for name, buffer in layer.named_buffers():
        assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_one_value_for_each_feature_is_refused_in_training_only(shape):
    layer = BatchNorm(5)
    with pytest.raises(ValueError, match="at least two values"):
        layer(torch.zeros(shape))
    assert torch.equal(layer.running_mean, torch.zeros(5))
    assert layer.eval()(torch.zeros(shape))[0].shape == shape
    BatchNorm(5)(torch.randn(1, 5, 2, 1))


def test_one_large_dead_feature_stays_finite():
    x = torch.cat([torch.full((20, 1), 1e4), torch.randn(20, 1)], 1)
    z, log_det = BatchNorm(2)(x)
    assert bool(torch.isfinite(z).all())
    assert bool(torch.isfinite(log_det).all())


def test_batch_norm_initialise_takes_the_statistics_of_all_data():
    layer, x = BatchNorm(5), 3 * torch.randn(200, 5) + 2
    layer.initialise(x)
    z, _ = layer.eval()(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(5), rtol=0, atol=1e-4)


@shapes
def test_actnorm_initialises_itself_once_from_the_first_training_batch(shape):
    layer, x = ActNorm(5), 3 * torch.randn(shape) + 7
    z, log_det = layer(x)
    torch.testing.assert_close(per_feature(z).mean(1), torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(per_feature(z).var(1, correction=0), torch.ones(5))
    expected = -per_feature(x).var(1, correction=0).log().sum() / 2 * x[0, 0].numel()
    torch.testing.assert_close(log_det, expected.expand(len(x)))
    log_scale = layer.log_scale.detach().clone()
    layer(10 * x)
    assert torch.equal(layer.log_scale, log_scale)


@shapes
def test_actnorm_is_the_affine_map_of_its_parameters(shape):
    layer, x = randomised(ActNorm(5).double()).eval(), torch.randn(shape, dtype=torch.float64)[:3]
    for function in (layer.forward, layer.inverse):
        torch.testing.assert_close(function(x)[1], slogdet(function, x), rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)


def test_actnorm_for_every_entry_of_an_image():
    layer, x = ActNorm((5, 3, 4)), 3 * torch.randn(50, 5, 3, 4) * torch.rand(5, 3, 4) + 7
    z, log_det = layer(x)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(5, 3, 4))
    torch.testing.assert_close(log_det[0], layer.log_scale.sum())
    torch.testing.assert_close(layer.inverse(z)[0], x)


def test_actnorm_in_eval_or_with_one_point_stays_uninitialised():
    x = torch.randn(8, 5)
    for layer, batch in ((ActNorm(5).eval(), x), (ActNorm(5), x[:1])):
        assert torch.equal(layer(batch)[0], batch)
        assert not layer.initialised
    with pytest.raises(ValueError, match="at least two values"):
        ActNorm(5).initialise(x[:1])


def test_actnorm_keeps_the_scale_of_a_constant_even_where_its_variance_rounds():
    x = torch.stack([torch.full((1000,), 0.1), torch.randn(1000)], 1)
    layer = ActNorm(2)
    layer.initialise(x)
    assert layer.log_scale[0] == 0
    torch.testing.assert_close(layer(x)[0][:, 0], torch.zeros(1000), rtol=0, atol=1e-6)


def test_actnorm_remembers_its_initialisation_through_save_and_load():
    layer, fresh, x = ActNorm(5), ActNorm(5), torch.randn(8, 5)
    fresh(x)
    untouched = copy.deepcopy(layer.state_dict())
    layer.load_state_dict(fresh.state_dict())
    assert torch.equal(layer(10 * x)[0], fresh(10 * x)[0])
    layer.load_state_dict(untouched)
    layer(10 * x)
    torch.testing.assert_close(layer.log_scale, fresh.log_scale - torch.tensor(10.0).log())


def test_a_chain_initialises_thousands_of_samples_in_parts():
    x = 5 * torch.randn(2500, 3) + 1
    chain = Chain([ActNorm(3), Scaling(3), ActNorm(3)])
    chain.initialise(x)
    z, _ = chain.eval()(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(3))


@pytest.mark.parametrize("kind", [ActNorm, BatchNorm])
def test_wrong_shapes_are_named(kind):
    layer = kind(5)
    for function in (layer.forward, layer.inverse):
        for shape in ((3, 4), (3, 4, 5, 5), (3, 5, 5), (5,)):
            with pytest.raises(ShapeError, match=r"expects shape \(B, 5\) or \(B, 5, H, W\), got"):
                function(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"expects shape \(B, 5, 3, 4\), got \(2, 5, 4, 3\)"):
        ActNorm((5, 3, 4))(torch.zeros(2, 5, 4, 3))


@pytest.mark.parametrize("make", [lambda: ActNorm(0), lambda: ActNorm((2, 3)), lambda: BatchNorm(0)])
def test_a_size_that_is_none_is_refused(make):
    with pytest.raises(ValueError, match="num_features must be"):
        make()


@pytest.mark.parametrize("settings", [{"eps": 0.0}, {"momentum": 1.5}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match="eps > 0 and momentum in"):
        BatchNorm(2, **settings)
