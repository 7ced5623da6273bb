"""Paths in latent space: their ends, their norms, their speed, and the four-point manifold's formula."""

import math

import pytest
import torch

from nvpkit import Flow, applications, models
from nvpkit.applications import four_point_manifold, interpolate, latent_manifold, lerp, slerp
from nvpkit.bijections import Chain, Dequantize
from tests.applications.shift import shift_flow


def randomised(flow, scale=0.3):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape))
    return flow.eval()


@pytest.mark.parametrize("path", [lerp, slerp])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ends_are_reproduced_bit_for_bit(path, dtype):
    z0, z1 = torch.randn(2, 6, 5, dtype=dtype)
    points = path(z0, z1, 7)
    assert (points.shape, points.dtype) == ((7, 6, 5), dtype)
    assert torch.equal(points[0], z0)
    assert torch.equal(points[-1], z1)


@pytest.mark.parametrize("dim", [2, 3, 500])
def test_slerp_has_linear_norm_and_constant_angular_speed(dim):
    z0, z1 = torch.randn(2, 4, dim, dtype=torch.float64) * torch.tensor([[[1.0]], [[3.0]]])
    points, t = slerp(z0, z1, 11), torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    torch.testing.assert_close(points.norm(dim=-1), (1 - t) * z0.norm(dim=-1) + t * z1.norm(dim=-1))
    units = points / points.norm(dim=-1, keepdim=True)
    turns = torch.arccos((units[1:] * units[:-1]).sum(-1).clamp(-1, 1))
    whole = torch.arccos((units[0] * units[-1]).sum(-1))
    torch.testing.assert_close(turns, (whole / 10).expand(10, 4), rtol=1e-6, atol=1e-9)


def test_slerp_is_the_usual_formula_on_the_sphere():
    z0, z1 = torch.nn.functional.normalize(torch.randn(2, 8, dtype=torch.float64), dim=1)
    angle = torch.arccos(z0 @ z1)
    for t, point in zip(torch.linspace(0, 1, 6, dtype=torch.float64), slerp(z0, z1, 6)):
        expected = torch.sin((1 - t) * angle) / angle.sin() * z0 + torch.sin(t * angle) / angle.sin() * z1
        torch.testing.assert_close(point, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("away", [0.0, 1e-30, 1e-16, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3])
def test_slerp_of_nearly_parallel_and_nearly_opposite_vectors(dtype, sign, away):
    z0 = torch.randn(7, dtype=dtype)
    z1 = sign * 2 * z0 + away * torch.randn(7, dtype=dtype)
    points = slerp(z0, z1, 9)
    assert bool(torch.isfinite(points).all())
    # No step is longer than a whole half-circle's ninth with room: nothing jumps at the ends.
    longest = 2 * z0.norm() * math.pi / 8 * 1.5
    assert (points[1:] - points[:-1]).norm(dim=1).max() < longest
    # A great circle with the linear norm; or, where the two differ by rounding alone, the straight line.
    t = torch.linspace(0, 1, 9, dtype=dtype)
    norm = (1 - t) * z0.norm() + t * z1.norm()
    on_circle = torch.allclose(points.norm(dim=1), norm, rtol=1e-5, atol=0)
    assert on_circle or (away < 5e-6 and torch.allclose(points, lerp(z0, z1, 9)))
    assert on_circle or dtype == torch.float32 or away < 1e-14


def test_where_no_great_circle_is_singled_out_slerp_is_the_straight_line():
    z = torch.randn(5, dtype=torch.float64)
    for z0, z1 in ((z, -z), (z, -3 * z), (z, 2 * z), (z, z), (torch.zeros_like(z), z), (z, torch.zeros_like(z))):
        torch.testing.assert_close(slerp(z0, z1, 5), lerp(z0, z1, 5))


def test_a_batch_is_its_rows():
    z0, z1 = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    z1[1, 2] = -z0[1, 2]
    whole = slerp(z0, z1, 5)
    for i in range(3):
        for j in range(4):
            torch.testing.assert_close(whole[:, i, j], slerp(z0[i, j], z1[i, j], 5))


def test_the_middle_of_a_slerp_looks_like_a_sample_and_that_of_a_line_does_not():
    z0, z1 = torch.randn(2, 200, 1000)
    assert abs(slerp(z0, z1, 3)[1].norm(dim=1).mean() / math.sqrt(1000) - 1) < 0.01
    assert abs(lerp(z0, z1, 3)[1].norm(dim=1).mean() / math.sqrt(500) - 1) < 0.01


@pytest.mark.parametrize("path", [lerp, slerp])
def test_interpolate_decodes_the_path_between_the_latents(path):
    flow = randomised(models.nice(6, hidden=16).double())
    x0, x1 = torch.randn(2, 3, 6, dtype=torch.float64)
    points = interpolate(flow, x0, x1, 5, path)
    assert points.shape == (5, 3, 6)
    torch.testing.assert_close(points[[0, -1]], torch.stack([x0, x1]))
    with torch.no_grad():
        torch.testing.assert_close(flow(points[2])[0], path(flow(x0)[0], flow(x1)[0], 5)[2])
    assert not torch.allclose(points[2], (x0 + x1) / 2)


def test_integers_come_back_as_they_were(digits_flow, digits):
    points = interpolate(digits_flow, digits[:20], digits[20:40], 5)
    assert torch.equal(points[0], digits[:20].float())
    assert torch.equal(points[-1], digits[20:40].float())
    assert 0 <= points.min() <= points.max() <= 16


def test_interpolation_keeps_to_its_context():
    flow = shift_flow([[10.0, 0.0], [0.0, 10.0]])
    context = torch.eye(2)
    x = interpolate(flow, context * 10, context * 10 + 1, 3, lerp, context)
    assert torch.equal(x[1], context * 10 + 0.5)


def test_the_manifold_is_the_papers_formula():
    z = torch.randn(4, 2, 3, dtype=torch.float64)
    phi, phi_prime = torch.rand(2, 5, dtype=torch.float64) * 7
    surface = four_point_manifold(z, phi, phi_prime)
    for i in range(5):
        c, s, c_, s_ = math.cos(phi[i]), math.sin(phi[i]), math.cos(phi_prime[i]), math.sin(phi_prime[i])
        torch.testing.assert_close(surface[i], c * (c_ * z[0] + s_ * z[1]) + s * (c_ * z[2] + s_ * z[3]))


def test_the_manifold_through_orthonormal_points_lies_on_the_sphere():
    phi, phi_prime = torch.rand(2, 50, dtype=torch.float64) * 7
    norms = four_point_manifold(torch.eye(4, 9, dtype=torch.float64), phi, phi_prime).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_the_decoded_manifold_has_phi_along_rows_and_closes_after_a_full_turn():
    flow = randomised(models.nice(6, hidden=16).double())
    points = torch.randn(4, 6, dtype=torch.float64)
    with torch.no_grad():
        z = flow(points)[0]
        surface = latent_manifold(flow, points, n=8)
        assert surface.shape == (8, 8, 6)
        at = four_point_manifold(z, torch.tensor([3 * math.pi / 4]), torch.tensor([math.pi / 4]))
        torch.testing.assert_close(surface[3, 1], flow.inverse(at)[0][0])
    # phi = 0 and phi' = 0, a quarter turn later, and both: the four points themselves.
    torch.testing.assert_close(torch.stack([surface[0, 0], surface[0, 2], surface[2, 0], surface[2, 2]]), points)
    # Half a turn in both angles is no turn at all.
    torch.testing.assert_close(surface[4, 4], surface[0, 0])


def test_a_quarter_turn_has_the_four_points_at_its_corners(digits_flow, digits):
    surface = latent_manifold(digits_flow, digits[:4], n=5, turn=math.pi / 2)
    assert torch.equal(surface[[0, 0, 4, 4], [0, 4, 0, 4]], digits[:4].float())


def test_the_manifold_keeps_to_its_context():
    flow = shift_flow([[10.0, 0.0], [0.0, 10.0]])
    points = torch.tensor([0.0, 10.0]) + torch.eye(4, 2)
    surface = latent_manifold(flow, points, n=2, turn=math.pi / 2, context=torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(surface.reshape(4, 2), points, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slerp(torch.zeros(3), torch.zeros(4), 5), r"\(3,\) and \(4,\)"),
        (lambda: slerp(torch.zeros(3), torch.zeros(3), 1), "at least 2"),
        (lambda: lerp(torch.zeros(3), torch.zeros(3), 2.0), "integer"),
        (lambda: slerp(torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long), 3), "float"),
        (lambda: slerp(torch.zeros(3), torch.zeros(3).double(), 3), "float64"),
        (lambda: interpolate(models.nice(3), torch.zeros(2, 3), torch.zeros(1, 3)), r"\(2, 3\) and \(1, 3\)"),
        (lambda: interpolate(models.nice(3), torch.zeros(2, 4), torch.zeros(2, 4)), r"\(B, 3\), got \(2, 4\)"),
        (lambda: four_point_manifold(torch.zeros(3, 2), torch.zeros(1), torch.zeros(1)), "four points"),
        (lambda: four_point_manifold(torch.zeros(4, 2), torch.zeros(1), torch.zeros(2)), "one shape"),
        (lambda: latent_manifold(models.nice(3), torch.zeros(5, 3)), r"\(4, ...\), got \(5, 3\)"),
        (lambda: latent_manifold(models.nice(3), torch.zeros(4, 3), n=1), "at least 2"),
        (lambda: latent_manifold(models.nice(3), torch.zeros(4, 3), context=torch.zeros(4, 1)), "one context"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_flow_is_found_behind_its_dequantisation_however_it_is_nested():
    flow = randomised(models.nice(4, levels=17))
    layers = list(flow.bijection.layers)
    nested = Flow(Chain([Chain([layers[0], layers[1]]), Chain(layers[2:])]), flow.base).eval()
    by_hand, y = Flow(Chain(layers[1:]), flow.base), torch.rand(3, 4)
    for same in (flow, nested):
        front, rest = applications.continuous(same)
        assert front is layers[0]
        torch.testing.assert_close(rest.log_prob(y), by_hand.log_prob(y))
        assert not any(part.training for part in rest.modules())
    with pytest.raises(ValueError, match="alone"):
        applications.continuous(Flow(Chain([Dequantize(17)]), flow.base))
    with pytest.raises(TypeError, match="Chain"):
        applications.continuous(flow.bijection)
