"""image_real_nvp: the paper's order of layers, exact log-dets through all scales, one density both ways."""

import json
import math

import pytest
import torch

from nvpkit import ShapeError, models
from nvpkit.bijections import ActNorm, AffineCoupling, BatchNorm, Chain, Dequantize, Logit, Split, Squeeze
from nvpkit.metrics import importance_weighted_log_prob
from nvpkit.models.image_real_nvp import paper_plan, squeeze_first_plan

SETTINGS = {
    "paper": {"shape": (1, 8, 8)},
    "paper, odd end, colours": {"shape": (2, 6, 10)},
    "batch norm, weight norm": {"shape": (1, 8, 8), "norm": "batchnorm", "weight_norm": True, "net_norm": "batch"},
    "squeeze first": {
        "shape": (1, 8, 4),
        "plan": "squeeze_first",
        "norm": "pixel_actnorm",
        "skips": False,
        "kernels": (3, 1),
    },
    "own plan": {"shape": (2, 4, 4), "plan": [["channel", "squeeze"], ["channel", "checkerboard"]], "norm": None},
    "one scale": {"shape": (3, 3, 5)},
    "conditional": {"shape": (1, 8, 8), "context_dim": 3},
}
every_model = pytest.mark.parametrize("name", SETTINGS)


def randomised(name, scale=0.1, **more):
    """A small model with weights that hide nothing, in eval mode, float64."""
    flow = models.image_real_nvp(**{"hidden": 4, "n_blocks": 1, "preprocess": False, **SETTINGS[name], **more}).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
        for layer in flow.modules():
            if isinstance(layer, (BatchNorm, torch.nn.BatchNorm2d)):
                layer.running_mean.copy_(0.3 * torch.randn_like(layer.running_mean))
                layer.running_var.copy_(0.5 + torch.rand_like(layer.running_var))
    return flow.eval()


def data(flow, n):
    """Points and, for a conditional flow, contexts."""
    x = torch.randn(n, *flow.event_shape, dtype=flow.dtype)
    context_dim = flow.config["settings"]["context_dim"]
    return (x, torch.randn(n, context_dim, dtype=flow.dtype)) if context_dim else (x,)


@every_model
def test_log_det_is_that_of_the_autograd_jacobian_both_ways(name):
    flow = randomised(name)
    x, *context = data(flow, 1)
    z, log_det = flow(x, *context)
    assert z.shape == (1, math.prod(flow.event_shape))
    for function, point, found in ((flow.forward, x, log_det), (flow.inverse, z.detach(), None)):
        _, found = function(point, *context)
        jacobian = torch.autograd.functional.jacobian(lambda v, f=function: f(v, *context)[0].flatten(), point)
        expected = torch.linalg.slogdet(jacobian.reshape(z.numel(), z.numel()))[1]
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-8)


@every_model
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-3)])
def test_round_trip_both_ways(name, dtype, tolerance):
    flow = randomised(name).to(dtype)
    x, *context = data(flow, 5)
    z, log_det = flow(x, *context)
    again, opposite = flow.inverse(z, *context)
    torch.testing.assert_close(again, x, rtol=0, atol=tolerance)
    torch.testing.assert_close(log_det + opposite, torch.zeros(5, dtype=dtype), rtol=0, atol=10 * tolerance)
    assert not torch.allclose(z, x.flatten(1), atol=0.1)


@every_model
def test_in_eval_one_image_does_not_depend_on_its_batch_and_no_buffer_changes(name):
    flow = randomised(name)
    x, *context = data(flow, 4)
    before = {key: value.clone() for key, value in flow.state_dict().items()}
    log_prob = flow.log_prob(x, *context)
    torch.testing.assert_close(flow.log_prob(x[2:3], *(c[2:3] for c in context)), log_prob[2:3])
    flow.sample(2, *(c[:2] for c in context))
    assert all(torch.equal(before[key], value) for key, value in flow.state_dict().items())


@every_model
def test_its_configuration_and_state_make_the_same_flow(name):
    flow = randomised(name)
    config = json.loads(json.dumps(flow.config))
    other = getattr(models, config["model"])(**config["settings"]).double().eval()
    other.load_state_dict(flow.state_dict())
    x, *context = data(flow, 2)
    assert torch.equal(flow.log_prob(x, *context), other.log_prob(x, *context))


@pytest.mark.parametrize("name", ["paper", "batch norm, weight norm", "squeeze first"])
def test_every_parameter_has_a_gradient_in_training(name):
    flow = randomised(name).train()
    (-flow.log_prob(data(flow, 6)[0]).mean()).backward()
    for label, parameter in flow.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("plan", ["paper", "squeeze_first"])
def test_samples_follow_the_density(plan):
    # Four pixels. For any g: E over samples of g(x) equals E over a normal of g(x) p(x) / normal(x).
    torch.manual_seed(1)
    shape = (1, 2, 2) if plan == "paper" else (1, 4, 4)
    steps = plan if plan == "paper" else [["squeeze", "squeezed_checkerboard", "squeezed_checkerboard", "channel"]]
    flow = models.image_real_nvp(shape, preprocess=False, hidden=4, n_blocks=1, plan=steps).double().eval()
    for parameter in flow.parameters():
        parameter.data.add_(0.15 * torch.randn_like(parameter))
    with torch.no_grad():
        n, x = 20_000, flow.sample(20_000)
        normal = torch.distributions.Normal(x.mean(0), 1.15 * x.std(0))
        y = normal.sample((n,))
        weights = (flow.log_prob(y) - normal.log_prob(y).sum((1, 2, 3))).exp()
    assert abs(weights.mean() - 1) < 5 * weights.std() / math.sqrt(n)
    assert weights.std() > 0.05, "the flow is its own proposal: nothing is tested"
    for g in (lambda v: v.flatten(1).cos(), lambda v: (v * v.roll(1, -1)).flatten(1).tanh()):
        here, there = g(x), g(y) * weights[:, None]
        error = ((here.var(0) + there.var(0)) / n).sqrt()
        assert bool(((here.mean(0) - there.mean(0)).abs() < 5 * error).all())


def layers_of(flow):
    """Layers in the order in which data meets them; a split stands between scales."""
    found = []

    def visit(layer):
        if isinstance(layer, Chain):
            for inner in layer.layers:
                visit(inner)
        elif hasattr(layer, "scales"):
            visit(layer.scales)
        elif isinstance(layer, Split):
            found.append(layer)
            visit(layer.rest)
        else:
            found.append(layer)

    visit(flow.bijection)
    return found


def test_the_order_is_the_papers():
    flow = models.image_real_nvp((1, 16, 16), hidden=4, n_blocks=1, norm="batchnorm")
    layers = layers_of(flow)
    assert [type(layer) for layer in layers[:2]] == [Dequantize, Logit]
    letters = {AffineCoupling: "c", BatchNorm: "b", Squeeze: "q", Split: "/"}
    order = "".join(letters[type(layer)] for layer in layers[2:])
    assert order == "cbcbcbqcbcbcb/cbcbcbqcbcbcb/cbcbcbcb"
    couplings = [layer for layer in layers if isinstance(layer, AffineCoupling)]
    assert [tuple(layer.mask.shape) for layer in couplings] == (
        [(1, 16, 16)] * 3 + [(4, 1, 1)] * 3 + [(1, 8, 8)] * 3 + [(8, 1, 1)] * 3 + [(1, 4, 4)] * 4
    )
    # Masks of one kind alternate, so that every entry moves; widths double at each squeeze.
    for start, end in ((0, 3), (3, 6), (6, 9), (9, 12), (12, 16)):
        for one, other in zip(couplings[start:end], couplings[start + 1 : end]):
            assert torch.equal(one.mask, 1 - other.mask)
    assert [layer.net.first.out_channels for layer in couplings] == [4] * 3 + [8] * 6 + [16] * 7


def test_plans_recurse_down_to_four_pixels_or_an_odd_side():
    assert [len(paper_plan(shape)) for shape in ((1, 32, 32), (1, 28, 28), (3, 8, 8), (1, 4, 4), (1, 7, 7))] == [
        4, 3, 2, 1, 1
    ]  # fmt: skip
    assert [len(squeeze_first_plan(shape)) for shape in ((1, 32, 32), (1, 28, 28), (1, 8, 8))] == [4, 2, 2]


def test_squeezed_checkerboards_are_checkerboards():
    # The same net on the same pixels: squeeze, mask of channels, unsqueeze = mask of pixels.
    chain = models.image_real_nvp((1, 8, 8), preprocess=False, plan="squeeze_first").bijection
    coupling = next(layer for layer in chain.modules() if isinstance(layer, AffineCoupling))
    pixels, _ = Squeeze().inverse(coupling.mask.expand(1, 4, 4, 4))
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    assert torch.equal(pixels[0, 0], ((rows + columns) % 2 == 0).float())


def test_integers_go_in_and_come_out():
    flow = models.image_real_nvp((1, 8, 8), levels=17, hidden=4, n_blocks=1)
    x = torch.randint(17, (20, 1, 8, 8), dtype=torch.uint8)
    flow.initialise(x)
    norms = [layer for layer in flow.modules() if isinstance(layer, ActNorm)]
    assert norms
    assert all(bool(layer.initialised) for layer in norms)
    flow.eval()
    assert flow.log_prob(x).shape == (20,)
    samples = flow.sample(10)
    assert samples.shape == (10, 1, 8, 8)
    assert bool(((samples >= 0) & (samples <= 16) & (samples == samples.round())).all())
    assert torch.equal(flow.inverse(flow(x)[0])[0], x.float())
    for wrong, message in ((x + 9, "0..16, got"), (x / 16, "fractions")):
        with pytest.raises(ValueError, match=message):
            flow.log_prob(wrong)


def test_untrained_without_norm_it_is_the_normal_density_of_the_logits():
    flow = models.image_real_nvp((1, 4, 4), levels=4, norm=None)
    x = torch.randint(4, (3, 1, 4, 4))
    torch.manual_seed(5)
    found = flow.log_prob(x)
    torch.manual_seed(5)
    z, log_det = Chain([Dequantize(4), Logit()])(x)
    normal = torch.distributions.Normal(0, 1).log_prob(z).sum((1, 2, 3))
    torch.testing.assert_close(found, normal + log_det)


def test_variational_noise_is_part_of_the_flow_and_starts_at_the_uniform_bound():
    x = torch.randint(17, (4, 1, 8, 8))
    settings = {"levels": 17, "hidden": 4, "n_blocks": 1, "norm": None}
    learned = models.image_real_nvp((1, 8, 8), variational={"width": 4}, **settings)
    uniform = models.image_real_nvp((1, 8, 8), **settings)
    log_probs = []
    for flow in (learned, uniform):
        torch.manual_seed(3)
        log_probs.append(flow.log_prob(x))
    assert (log_probs[0] - log_probs[1]).abs().max() < 1  # one draw each; the draws are not the same pixels' ones
    (-learned.log_prob(x).mean()).backward()
    last = learned.bijection.layers[0].q.flow.layers[-1].net.last[-1]
    assert last.weight.grad.abs().sum() > 0
    assert torch.equal(learned.inverse(learned(x)[0])[0], x.float())


def test_equalised_pixels_are_part_of_the_flow_and_need_data():
    x = torch.randint(17, (100, 1, 4, 4)) * torch.randint(2, (100, 1, 4, 4))
    flow = models.image_real_nvp((1, 4, 4), levels=17, hidden=4, n_blocks=1, norm=None, equalize=0.7, alpha=1e-3)
    layers = flow.bijection.layers
    assert [type(layer).__name__ for layer in layers] == ["Dequantize", "Equalize", "Logit", "MultiScale"]
    assert not layers[1].initialised
    flow.initialise(x)
    assert layers[1].knots[1].item() == pytest.approx(0.7)  # what 0 gets, the most frequent level
    torch.manual_seed(3)
    found = flow.log_prob(x)
    torch.manual_seed(3)
    z, log_det = Chain(layers[:3])(x)
    normal = torch.distributions.Normal(0, 1).log_prob(z).sum((1, 2, 3))
    torch.testing.assert_close(found, normal + log_det)
    # The untrained latent is normal, its pixel is 0 where the sigmoid is below .7.
    background = torch.distributions.Normal(0, 1).cdf(torch.logit(torch.tensor(0.7)))
    assert abs((flow.sample(500) == 0).float().mean() - background) < 0.03
    assert torch.equal(flow.inverse(flow(x)[0])[0], x.float())


@pytest.mark.parametrize("front", [{}, {"variational": {"width": 4, "n_couplings": 2}}, {"equalize": 0.8}])
def test_the_masses_of_all_images_sum_to_one(front):
    plan = [["squeeze", *["squeezed_checkerboard"] * 4]]
    flow = models.image_real_nvp((1, 2, 4), levels=2, plan=plan, hidden=4, n_blocks=1, alpha=1e-4, **front)
    flow.initialise((torch.rand(200, 1, 2, 4) < 0.3).long())
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    flow.double().eval()
    every_image = torch.cartesian_prod(*[torch.arange(2)] * 8).reshape(-1, 1, 2, 4)
    masses = importance_weighted_log_prob(flow, every_image, 500).exp()
    # Near one, and no more than the draws' own scatter above it.
    assert 0.97 < masses.sum() < 1.02
    # Images that are drawn often are those of large mass.
    drawn = (flow.sample(20_000).flatten(1).long() * 2 ** torch.arange(7, -1, -1)).sum(1).bincount(minlength=256)
    torch.testing.assert_close(drawn / 20_000, masses.float(), rtol=0, atol=0.012)
    assert masses.max() > 4 * masses.median(), "all images are as likely: this test would pass for noise"


def test_context_changes_the_density_and_is_asked_for():
    flow = randomised("conditional")
    x, context = data(flow, 3)
    assert not torch.allclose(flow.log_prob(x, context), flow.log_prob(x, context + 1))
    with pytest.raises(ValueError, match="context_dim=3"):
        flow.log_prob(x)


def test_a_few_steps_on_digits_gain_half_a_bit_per_pixel():
    from nvpkit.data import images

    x = images("digits", "train")[0]
    flow = models.image_real_nvp((1, 8, 8), levels=17, hidden=8, n_blocks=1)
    flow.initialise(x[:200])
    optimiser = torch.optim.Adam(flow.parameters(), 5e-3)
    bits = []
    for step in range(30):
        optimiser.zero_grad()
        loss = -flow.log_prob(x[32 * step : 32 * step + 32]).mean() / (64 * math.log(2))
        loss.backward()
        optimiser.step()
        bits.append(loss.item())
    assert sum(bits[-5:]) / 5 < bits[0] - 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (8, 8)}, r"\(C, H, W\), got \(8, 8\)"),
        ({"shape": (1, 0, 8)}, "height must be an integer of at least 1, got 0"),
        ({"shape": (3, 1, 1)}, r"two pixels, got shape \(3, 1, 1\)"),
        ({"shape": (1, 7, 8), "plan": "squeeze_first"}, r"even sides of at least 4, got shape \(1, 7, 8\)"),
        ({"shape": (1, 6, 6), "plan": [["squeeze"], ["squeeze"]]}, "multiples of 2, got 3 x 3"),
        ({"shape": (1, 4, 4), "plan": [["chess"]]}, "a step must be squeeze or one of .*, got 'chess'"),
        ({"shape": (1, 4, 4), "plan": "glow"}, "plan must be one of paper, squeeze_first"),
        ({"shape": (1, 4, 4), "plan": [["squeezed_checkerboard"]]}, "a multiple of 4 channels"),
        ({"shape": (1, 4, 4), "plan": []}, "at least one scale"),
        ({"shape": (1, 4, 4), "norm": "layer"}, "norm must be one of actnorm, .*, got 'layer'"),
        ({"shape": (1, 4, 4), "net_norm": "layer"}, "norm must be None or 'batch', got 'layer'"),
        ({"shape": (1, 4, 4), "hidden": 0}, "width must be an integer of at least 1, got 0"),
        ({"shape": (1, 4, 4), "alpha": 0.5}, "alpha must lie"),
        ({"shape": (1, 4, 4), "levels": 1}, "levels must be"),
        ({"shape": (1, 4, 4), "equalize": 1.5}, "background must be a share between 0 and 1, got 1.5"),
        ({"shape": (1, 4, 4), "kernels": (3, 2)}, r"kernels must be odd positive sizes, at least one, got \(3, 2\)"),
    ],
)
def test_settings_that_make_no_flow_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        models.image_real_nvp(**settings)


def test_images_of_another_size_are_named():
    with pytest.raises(ShapeError, match=r"expected x of shape \(B, 1, 8, 8\), got \(2, 1, 8, 9\)"):
        models.image_real_nvp((1, 8, 8), hidden=4, n_blocks=1).log_prob(torch.zeros(2, 1, 8, 9))
