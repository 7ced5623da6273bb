"""The same affine-coupling flow in nvpkit and in each peer: half masks, one net for s and t, standard normal base.

What differs is how the log-scale is bounded, each library's own way: 2 tanh(raw / 2) here, 2 tanh(raw) in FrEIA, a
sigmoid scale in nflows, a soft clip at ln 1000 in zuko, no bound in normflows. All have the same parameters.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nvpkit.models import real_nvp

PEERS = ("FrEIA", "nflows", "normflows", "zuko")


@dataclass
class Model:
    """A flow: its parameters, log_prob(x) -> (B,), sample(n) -> (n, D)."""

    name: str
    module: nn.Module
    log_prob: Callable
    sample: Callable


def sequential(inputs, outputs, hidden):
    """The conditioner for libraries whose users bring their own: linear layers with ReLU between."""
    widths = (inputs, *hidden)
    layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def ours(dim, n_layers, hidden):
    flow = real_nvp(dim, n_layers, hidden, max_log_scale=2.0, standardise=False)
    for layer in flow.bijection.layers:
        layer.net.layers[-1].reset_parameters()  # as the peers start
    return Model("nvpkit", flow, flow.log_prob, flow.sample)


def freia(dim, n_layers, hidden):
    """Each GLOWCouplingBlock is two couplings, one for each half."""
    from FrEIA.framework import SequenceINN
    from FrEIA.modules import GLOWCouplingBlock

    inn = SequenceINN(dim)
    for _ in range(n_layers // 2):
        inn.append(
            GLOWCouplingBlock,
            subnet_constructor=lambda i, o: sequential(i, o, hidden),
            clamp=2.0,
            clamp_activation="TANH",
        )

    def log_prob(x):
        z, log_det = inn(x)
        return -0.5 * z.square().sum(1) - 0.5 * dim * math.log(2 * math.pi) + log_det

    return Model("FrEIA", inn, log_prob, lambda n: inn(torch.randn(n, dim), rev=True)[0])


class WithoutContext(nn.Module):
    """nflows calls its nets with a context, which its own MLP does not take."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, context=None):
        return self.net(x)


def nflows(dim, n_layers, hidden):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    half = (dim + 1) // 2
    masks = ([0] * half + [1] * (dim - half), [1] * half + [0] * (dim - half))  # 1 is transformed
    couplings = [
        AffineCouplingTransform(masks[i % 2], lambda a, b: WithoutContext(sequential(a, b, hidden)))
        for i in range(n_layers)
    ]
    flow = Flow(CompositeTransform(couplings), StandardNormal([dim]))
    return Model("nflows", flow, flow.log_prob, flow.sample)


def normflows(dim, n_layers, hidden):
    from normflows import NormalizingFlow
    from normflows.distributions import DiagGaussian
    from normflows.flows import AffineCouplingBlock
    from normflows.nets import MLP

    half = dim // 2
    couplings = [
        AffineCouplingBlock(MLP([half, *hidden, dim]), split_mode=("channel", "channel_inv")[i % 2])
        for i in range(n_layers)
    ]
    flow = NormalizingFlow(DiagGaussian(dim, trainable=False), couplings)
    return Model("normflows", flow, flow.log_prob, lambda n: flow.sample(n)[0])


def zuko(dim, n_layers, hidden):
    """Built from zuko's coupling with half masks; zuko.flows.NICE has even and odd ones."""
    from zuko.distributions import DiagNormal
    from zuko.flows import Flow, UnconditionalDistribution
    from zuko.flows.coupling import GeneralCouplingTransform

    half = torch.arange(dim) < (dim + 1) // 2
    couplings = [
        GeneralCouplingTransform(dim, mask=half if i % 2 == 0 else ~half, hidden_features=hidden)
        for i in range(n_layers)
    ]
    flow = Flow(couplings, UnconditionalDistribution(DiagNormal, torch.zeros(dim), torch.ones(dim), buffer=True))
    return Model("zuko", flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


BUILDERS = {"nvpkit": ours, "FrEIA": freia, "nflows": nflows, "normflows": normflows, "zuko": zuko}


def same_size(models):
    """Return the models; raise RuntimeError when one has another number of parameters than the first."""
    counts = {m.name: sum(p.numel() for p in m.module.parameters() if p.requires_grad) for m in models}
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"the models differ in their number of parameters: {counts}")
    return models


def build(dim, n_layers, hidden):
    """Return every library's model of one size."""
    torch.manual_seed(0)
    return same_size([builder(dim, n_layers, tuple(hidden)) for builder in BUILDERS.values()])
