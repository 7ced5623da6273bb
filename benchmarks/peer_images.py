"""The same multi-scale flow on images of 28x28 in nvpkit and in the peers that have one; zuko has none.

Squeeze, four affine couplings of channels, half of the channels factored out, squeeze, four couplings: one net for s
and t, three 3x3 convolutions of 32 maps with ReLU. All have the same parameters; what differs is how the log-scale is
bounded, as in peer_flows.py, and the order in which a squeeze stacks its channels.
"""

import torch
from torch import nn

from benchmarks.peer_flows import Model, WithoutContext, same_size
from nvpkit.bijections import AffineCoupling, CouplingChain, MultiScale, Squeeze, half_mask
from nvpkit.distributions import standard_normal
from nvpkit.flow import Flow

SHAPE, WIDTH, COUPLINGS = (1, 28, 28), 32, 4


def conv(inputs, outputs, inplace=False):
    """The conditioner of every library here; ours works in place, as the nets of nvpkit do."""
    first, middle = nn.Conv2d(inputs, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
    last = nn.Conv2d(WIDTH, outputs, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace), middle, nn.ReLU(inplace), last)


def ours():
    def scale(channels):
        nets = [conv(channels // 2, channels, inplace=True) for _ in range(COUPLINGS)]
        couplings = [AffineCoupling(half_mask(channels, i % 2), net) for i, net in enumerate(nets)]
        return CouplingChain([Squeeze(), *couplings])

    flow = Flow(MultiScale([scale(4), scale(8)], SHAPE), standard_normal(784), SHAPE)
    return Model("nvpkit", flow, flow.log_prob, flow.sample)


def freia():
    from FrEIA.framework import GraphINN, InputNode, Node, OutputNode
    from FrEIA.modules import GLOWCouplingBlock, IRevNetDownsampling, Split

    settings = {"subnet_constructor": conv, "clamp": 2.0, "clamp_activation": "TANH"}
    nodes = [InputNode(*SHAPE)]

    def scale(source):
        nodes.append(Node(source, IRevNetDownsampling, {}))
        for _ in range(COUPLINGS // 2):
            nodes.append(Node(nodes[-1], GLOWCouplingBlock, settings))

    scale(nodes[0])
    split = Node(nodes[-1], Split, {})
    nodes.append(split)
    scale(split.out0)
    outs = [OutputNode(split.out1), OutputNode(nodes[-1])]
    inn = GraphINN([*nodes, *outs])

    def sample(n):
        return inn([torch.randn(n, 2, 14, 14), torch.randn(n, 8, 7, 7)], rev=True)[0]

    return Model("FrEIA", inn, None, sample)


def nflows():
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as NflowsFlow
    from nflows.transforms.base import CompositeTransform, MultiscaleCompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform
    from nflows.transforms.reshape import SqueezeTransform

    def scale(channels):
        half = channels // 2
        masks = ([0] * half + [1] * half, [1] * half + [0] * half)
        couplings = [
            AffineCouplingTransform(masks[i % 2], lambda a, b: WithoutContext(conv(a, b))) for i in range(COUPLINGS)
        ]
        return CompositeTransform([SqueezeTransform(), *couplings])

    transform = MultiscaleCompositeTransform(2)
    transform.add_transform(scale(4), (4, 14, 14))
    transform.add_transform(scale(8), (8, 7, 7))
    flow = NflowsFlow(transform, StandardNormal([784]))
    return Model("nflows", flow, flow.log_prob, flow.sample)


def normflows():
    from normflows import MultiscaleFlow
    from normflows.distributions import DiagGaussian
    from normflows.flows import AffineCouplingBlock, Merge, Squeeze

    def scale(channels):
        modes = ("channel", "channel_inv")
        couplings = [
            AffineCouplingBlock(conv(channels // 2, channels), split_mode=modes[i % 2]) for i in range(COUPLINGS)
        ]
        return [*couplings, Squeeze()]

    bases = [DiagGaussian(shape, trainable=False) for shape in ((8, 7, 7), (2, 14, 14))]
    flow = MultiscaleFlow(bases, [scale(8), scale(4)], [Merge()], class_cond=False)
    return Model("normflows", flow, flow.log_prob, lambda n: flow.sample(n)[0])


def build():
    """Return every library's model; raise RuntimeError when one has another number of parameters."""
    torch.manual_seed(0)
    return same_size([ours(), freia(), nflows(), normflows()])
