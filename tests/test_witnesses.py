"""Other libraries as witnesses: given the same weights, density, inverse and gradients are theirs."""

import math

import pytest
import torch
from torch import nn

from nvpkit.bijections import AffineCoupling, CouplingChain, alternating_mask, half_mask
from nvpkit.distributions import standard_normal
from nvpkit.flow import Flow

BOUND = 8.0  # above every log-scale that the witnesses can emit: -ln 1000 to ln 1000
MASKS = {"half": half_mask, "even and odd": alternating_mask}


class Speaks(nn.Module):
    """A witness's own net, its output said in our words: (raw, t) with s = m tanh(raw / m)."""

    def __init__(self, net, translate):
        super().__init__()
        self.net, self.translate = net, translate

    def forward(self, kept):
        s, t = self.translate(self.net(kept))
        return torch.cat([BOUND * torch.atanh(s / BOUND), t], 1)


def flow_with(masks, nets, translate):
    layers = [AffineCoupling(mask, Speaks(net, translate), BOUND) for mask, net in zip(masks, nets)]
    return Flow(CouplingChain(layers), standard_normal(len(masks[0])))


def with_zuko(dim, make_mask):
    """zuko: pairs (t, raw) for each entry, and a soft clip of the log-scale at ln 1000."""
    zuko = pytest.importorskip("zuko", reason="zuko is a witness where it is installed: pip install zuko")
    masks = [make_mask(dim, i % 2) for i in range(4)]
    couplings = [zuko.flows.coupling.GeneralCouplingTransform(dim, mask=m, hidden_features=(16, 16)) for m in masks]
    base = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(dim), torch.ones(dim), buffer=True
    )
    witness = zuko.flows.Flow(couplings, base)

    def translate(emitted):
        t, raw = emitted.unflatten(1, (-1, 2)).unbind(2)
        return raw / (1 + raw.abs() / math.log(1000)), t

    flow = flow_with(masks, [coupling.hyper for coupling in couplings], translate)
    return flow, witness, lambda x: witness().log_prob(x), lambda z: witness().transform.inv(z)


class WithoutContext(nn.Module):
    """nflows calls its nets with a context, None where there is none."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))

    def forward(self, x, context=None):
        return self.layers(x)


def with_nflows(dim, make_mask):
    """nflows: t first, then raw, and a scale of sigmoid(raw + 2) + .001."""
    reason = "nflows is a witness where it is installed: pip install nflows"
    coupling = pytest.importorskip("nflows.transforms.coupling", reason=reason)
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as NflowsFlow
    from nflows.transforms.base import CompositeTransform

    masks = [make_mask(dim, i % 2) for i in range(4)]
    couplings = [coupling.AffineCouplingTransform(1 - mask, WithoutContext) for mask in masks]
    witness = NflowsFlow(CompositeTransform(couplings), StandardNormal([dim]))

    def translate(emitted):
        t, raw = emitted.chunk(2, 1)
        return torch.log(torch.sigmoid(raw + 2) + 1e-3), t

    flow = flow_with(masks, [layer.transform_net for layer in couplings], translate)
    return flow, witness, witness.log_prob, lambda z: witness._transform.inverse(z)[0]


@pytest.mark.parametrize("make", [with_zuko, with_nflows], ids=["zuko", "nflows"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_density_inverse_and_gradients_are_those_of_the_witness(make, mask, dim, dtype, tolerance):
    flow, witness, log_prob, inverse = make(dim, MASKS[mask])
    flow, witness = flow.to(dtype), witness.to(dtype)  # they share their nets
    with torch.no_grad():
        for parameter in witness.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))
    x, z = torch.randn(2, 20, dim, dtype=dtype)
    torch.testing.assert_close(flow.log_prob(x), log_prob(x), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(flow.inverse(z)[0], inverse(z), rtol=tolerance, atol=tolerance)
    gradients = [
        torch.autograd.grad(density(x).mean(), list(witness.parameters())) for density in (flow.log_prob, log_prob)
    ]
    assert len(gradients[0]) == len(list(flow.parameters()))
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs, rtol=10 * tolerance, atol=10 * tolerance)
    assert not torch.allclose(log_prob(x), flow.base.log_prob(x)), "the witness does nothing"
