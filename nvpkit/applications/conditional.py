"""Flows that know the class: samples of each class, and classification by Bayes' rule."""

import torch

from nvpkit.applications.continuous import continuous, repeated
from nvpkit.errors import ShapeError
from nvpkit.metrics import evaluating


def one_hot(labels, n_classes, dtype=None):
    """Return labels (B,), integers 0..n_classes-1, as a context (B, n_classes) with a 1 at the label.

    >>> one_hot(torch.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels are integers of shape (B,), got {labels.dtype} of shape {tuple(labels.shape)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise ValueError(f"labels lie in 0..{n_classes - 1}, got {int(labels.min())}..{int(labels.max())}")
    return torch.nn.functional.one_hot(labels.long(), n_classes).to(dtype or torch.get_default_dtype())


@torch.no_grad()
def sample_classes(flow, n, n_classes, temperature=1.0, generator=None):
    """Return n samples of each class from a flow with one-hot context: (n_classes, n, *event_shape).

    >>> from nvpkit.models import real_nvp
    >>> sample_classes(real_nvp(2, context_dim=3).eval(), 5, 3).shape
    torch.Size([3, 5, 2])
    """
    context = _one_of_each(flow, n_classes).repeat_interleave(n, 0)
    with evaluating(flow):
        x = flow.sample(n * n_classes, context, temperature=temperature, generator=generator)
    return x.reshape(n_classes, n, *x.shape[1:])


@torch.no_grad()
def class_log_posterior(flow, x, n_classes, prior=None, draws=1):
    """Return log p(y | x) by Bayes' rule, (B, n_classes): log p(x | y) + log p(y), normalised over y.

    ``prior`` (n_classes,) holds p(y), uniform unless given. A flow that starts with ``Dequantize`` compares all classes
    on the same noise, which then says nothing about the class; p(x | y) is the mean over ``draws`` of that noise.

    >>> from nvpkit.models import real_nvp
    >>> flow = real_nvp(2, context_dim=3).eval()   # untrained: all classes alike
    >>> class_log_posterior(flow, torch.randn(1, 2), 3).exp()
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise ValueError(f"draws must be an integer of at least 1, got {draws!r}")
    contexts = _one_of_each(flow, n_classes)
    with evaluating(flow):
        flow.log_prob(x, contexts[:1].expand(len(x), -1))  # the door checks x
        front, rest = continuous(flow)
        log_prob = torch.stack([_joint(front, rest, x, contexts) for _ in range(1 if front is None else draws)])
    return torch.log_softmax(torch.logsumexp(log_prob, 0) + _log_prior(prior, n_classes, log_prob), 1)


def classify(flow, x, n_classes, prior=None, draws=1):
    """Return the likeliest class of each x, int64 (B,); see ``class_log_posterior``.

    >>> from nvpkit.models import real_nvp
    >>> classify(real_nvp(2, context_dim=3).eval(), torch.randn(4, 2), 3, prior=[0.2, 0.5, 0.3])
    tensor([1, 1, 1, 1])
    """
    return class_log_posterior(flow, x, n_classes, prior, draws).argmax(1)


def _joint(front, rest, x, contexts):
    """log p(x, u | y) for one draw of the noise u, (B, n_classes)."""
    y, log_det = (x, 0.0) if front is None else front(x)
    each = [rest.log_prob(y, repeated(context[None], len(y))) for context in contexts]
    return torch.stack(each, 1) + torch.as_tensor(log_det).reshape(-1, 1)


def _one_of_each(flow, n_classes):
    if isinstance(n_classes, bool) or not isinstance(n_classes, int) or n_classes < 2:
        raise ValueError(f"n_classes must be an integer of at least 2, got {n_classes!r}")
    like = next((p for p in flow.parameters()), torch.empty(0))
    return torch.eye(n_classes, dtype=like.dtype, device=like.device)


def _log_prior(prior, n_classes, like):
    if prior is None:
        return 0.0
    prior = torch.as_tensor(prior, dtype=like.dtype, device=like.device)
    if prior.shape != (n_classes,):
        raise ShapeError(f"the prior has shape ({n_classes},), got {tuple(prior.shape)}")
    if bool((prior < 0).any()) or abs(float(prior.sum()) - 1) > 1e-4:
        raise ValueError(f"the prior is not negative and sums to 1, got {prior.tolist()}")
    return prior.log()
