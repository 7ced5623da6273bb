"""SOAP: Adam in the gradient's eigenbasis."""

import pytest
import torch

from nvpkit.models import real_nvp
from nvpkit.training import fit
from nvpkit.training.flat import FlatParameters
from nvpkit.training.soap import Soap


def run(weights, gradients, lr=0.1, **settings):
    """Give SOAP these gradients, a list of steps with one gradient for each weight; return the weights afterwards."""
    holder = torch.nn.ParameterList(torch.nn.Parameter(weight.clone()) for weight in weights)
    flat = FlatParameters(holder)
    optimizer = Soap(flat.vectors, lr, flat.layout, **settings)
    for step in gradients:
        for parameter, gradient in zip(holder, step):
            parameter.grad.copy_(gradient)
        optimizer.step()
    flat.release()
    return [parameter.detach() for parameter in holder]


def gradients_of(*shapes, steps=30):
    generator = torch.Generator().manual_seed(0)
    return [[torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes] for _ in range(steps)]


def test_rotated_gradients_give_rotated_updates():
    gradients, zero = gradients_of((4, 3)), torch.zeros(4, 3, dtype=torch.float64)
    u, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    (plain,) = run([zero], gradients)
    (turned,) = run([zero], [[u @ gradient @ v] for (gradient,) in gradients])
    torch.testing.assert_close(turned, u @ plain @ v)


def test_a_vector_gets_adam():
    gradients, start = gradients_of((5,)), torch.ones(5, dtype=torch.float64)
    (ours,) = run([start], gradients)
    parameter = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([parameter], lr=0.1, betas=(0.95, 0.95))
    for (gradient,) in gradients:
        parameter.grad = gradient
        adam.step()
    torch.testing.assert_close(ours, parameter.detach())


@pytest.mark.parametrize(
    "shapes", [[(3, 2), (3, 2), (3, 2)], [(3, 2), (5,), (3, 2), (3, 2)], [(3, 2), (3,), (3, 2), (3,)]]
)
def test_matrices_of_one_shape_are_turned_together_and_do_not_mix(shapes):
    gradients = gradients_of(*shapes)
    start = [torch.ones(shape, dtype=torch.float64) for shape in shapes]
    together = run(start, gradients)
    first = 2 if len(shapes[1]) == 1 and shapes[1][0] == 3 else 1  # with its bias, where it has one
    alone = run(start[:first], [step[:first] for step in gradients])
    torch.testing.assert_close(together[:first], alone)
    last = run(start[-first:], [step[-first:] for step in gradients])
    torch.testing.assert_close(together[-first:], last)


def test_a_bias_is_one_more_column_of_its_matrix():
    gradients = gradients_of((3, 2), (3,))
    weight, bias = run([torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)], gradients)
    joined = [[torch.cat([w, b[:, None]], 1)] for w, b in gradients]
    (both,) = run([torch.zeros(3, 3, dtype=torch.float64)], joined)
    torch.testing.assert_close(torch.cat([weight, bias[:, None]], 1), both)


def test_a_gradient_that_is_not_finite_changes_nothing():
    weight = torch.nn.Linear(2, 2)
    flat = FlatParameters(weight)
    optimizer, before = Soap(flat.vectors, 0.1, flat.layout), weight.weight.detach().clone()
    weight.weight.grad.fill_(torch.nan)
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert torch.equal(weight.weight, before)
    assert not optimizer.state


def fitted(**settings):
    torch.manual_seed(0)
    flow = real_nvp(3, 4, hidden=8)
    settings = {"steps": 25, "batch_size": 32, **settings}
    history = fit(flow, torch.randn(200, 3, generator=torch.Generator().manual_seed(1)), progress=False, **settings)
    return history.loss, flow.state_dict()


def test_a_small_flow_on_a_cpu_gets_soap_and_a_given_lr_gets_adam():
    assert fitted(device="cpu")[0] == fitted(device="cpu", optimizer="soap", lr=1e-2)[0]
    assert fitted(lr=5e-3)[0] == fitted(lr=5e-3, optimizer="adam")[0]
    assert fitted(device="cpu")[0] != fitted(device="cpu", lr=5e-3)[0]


def test_a_resumed_training_goes_on_bit_for_bit(tmp_path):
    settings = {"optimizer": "soap", "checkpoint": tmp_path / "fit.pt", "device": "cpu"}
    losses, weights = fitted(optimizer="soap", device="cpu")
    paused, _ = fitted(**settings, max_seconds=0.0)
    resumed, again = fitted(**settings, resume=True)
    assert len(paused) < len(losses)
    assert resumed == losses
    assert all(torch.equal(weights[key], again[key]) for key in weights)


def test_a_valley_across_the_axes_is_no_harder_than_one_along_them():
    """The loss |L W R|^2 / 2 with L and R of condition 100: Adam is slow once their axes are not those of W."""

    def descend(make, left, right, steps=300):
        weight = torch.nn.Parameter(torch.ones(6, 6, dtype=torch.float64))
        optimizer = make(weight)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
            loss = (left @ weight.view(6, 6) @ right).square().sum() / 2
            (weight.grad,) = torch.autograd.grad(loss, weight)
            optimizer.step()
        return loss.item()

    along = torch.logspace(-2, 0, 6, dtype=torch.float64).diag()
    turn, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    across = turn @ along @ turn.T
    adam = descend(lambda weight: torch.optim.Adam([weight], 0.1, betas=(0.95, 0.95)), across, across)
    soap = descend(lambda weight: Soap([weight], 0.1, [[(0, (6, 6))]], every=5), across, across)
    assert soap < adam / 10
