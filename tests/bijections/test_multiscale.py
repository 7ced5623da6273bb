"""Multi-scale: factored-out parts come first, and what was factored out early sees no later layer."""

import pytest
import torch

from nvpkit.bijections import ActNorm, Chain, MultiScale, Scaling, Split, Squeeze
from nvpkit.distributions import standard_normal
from nvpkit.errors import ShapeError
from nvpkit.flow import Flow


def actnorm(*log_scales):
    layer = ActNorm(len(log_scales)).eval()
    layer.log_scale.data = torch.tensor(log_scales)
    return layer


def test_split_factors_out_the_last_half_and_the_rest_goes_on():
    x = torch.arange(12.0).reshape(1, 3, 2, 2)
    z, log_det = Split((3, 2, 2), actnorm(1.0, -3.0))(x)
    torch.testing.assert_close(z[0, :4], torch.arange(8.0, 12))  # one of three channels, untouched
    torch.testing.assert_close(z[0, 4:8], torch.arange(4.0) * torch.e)
    torch.testing.assert_close(log_det, torch.tensor([4 * 1.0 - 4 * 3.0]))


def test_three_scales_leave_in_order():
    x = torch.randn(2, 1, 8, 8)
    layer = MultiScale([Squeeze(), Squeeze(), Squeeze()], (1, 8, 8))
    z, _ = layer(x)
    first = Squeeze()(x)[0]
    second = Squeeze()(first[:, :2])[0]
    third = Squeeze()(second[:, :4])[0]
    expected = torch.cat([first[:, 2:].flatten(1), second[:, 4:].flatten(1), third.flatten(1)], 1)
    assert torch.equal(z, expected)
    assert torch.equal(layer.inverse(z)[0], x)


def test_log_prob_is_that_of_two_parts():
    # What is factored out is standard normal at once, the rest after the second map: the two log-densities add up.
    first, second = Chain([Squeeze(), actnorm(0.1, 0.2, 0.3, 0.4)]), actnorm(-1.0, 1.5)
    flow = Flow(MultiScale([first, second], (1, 4, 4)), standard_normal(16), event_shape=(1, 4, 4))
    x = torch.randn(3, 1, 4, 4)
    h, log_det = first(x)
    z, second_log_det = second(h[:, :2])
    normal = torch.distributions.Normal(0, 1)
    expected = normal.log_prob(h[:, 2:]).sum((1, 2, 3)) + normal.log_prob(z).sum((1, 2, 3)) + log_det + second_log_det
    torch.testing.assert_close(flow.log_prob(x), expected)
    assert flow.sample(5).shape == (5, 1, 4, 4)


def test_one_scale_flattens():
    x = torch.randn(2, 3, 2, 2)
    assert torch.equal(MultiScale([actnorm(0.0, 0.0, 0.0)], (3, 2, 2))(x)[0], x.flatten(1))


def test_initialise_reaches_every_scale_with_the_first_images():
    x = torch.randn(500, 1, 4, 4) * 5 + 3
    layer = MultiScale([Chain([Squeeze(), ActNorm(4)]), Chain([ActNorm(2), Squeeze(), ActNorm(8)])], (1, 4, 4)).eval()
    layer.initialise(torch.cat([x, torch.zeros_like(x)]))
    z, _ = layer(x)
    assert all(bool(part.initialised) for part in layer.modules() if isinstance(part, ActNorm))
    torch.testing.assert_close(z[:, 8:].mean(0), torch.zeros(8), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std(), torch.tensor(1.0), rtol=0, atol=1e-3)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"at least 2 channels .* got shape \(1, 4, 4\)"):
        MultiScale([ActNorm(1), Squeeze()], (1, 4, 4))
    with pytest.raises(ShapeError, match="got 3 x 3"):
        MultiScale([Squeeze(), Squeeze()], (1, 6, 6))
    with pytest.raises(ValueError, match="at least one scale"):
        MultiScale([], (1, 4, 4))
    layer = MultiScale([Squeeze(), Squeeze()], (1, 4, 4))
    with pytest.raises(ShapeError, match=r"MultiScale expects shape \(B, 1, 4, 4\), got \(2, 1, 4, 8\)"):
        layer(torch.zeros(2, 1, 4, 8))
    with pytest.raises(ShapeError, match=r"\(B, 16\), got \(2, 15\)"):
        layer.inverse(torch.zeros(2, 15))


def test_a_rest_that_loses_entries_is_refused():
    class Lossy(Scaling):
        def output_shape(self, shape):
            return (1,)

    with pytest.raises(ShapeError, match=r"must keep 4 entries, got \(1,\)"):
        Split((2, 2, 2), Lossy(2))
