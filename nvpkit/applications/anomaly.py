"""Scores for inputs that do not belong: high means foreign, everywhere."""

import io
import math

import torch

from nvpkit.applications.continuous import repeated
from nvpkit.applications.detection import as_scores
from nvpkit.errors import ShapeError
from nvpkit.metrics import evaluating


@torch.no_grad()
def likelihood_score(flow, x, context=None, batch_size=1024):
    """Return -log p(x) in nats, (N,): the plainest score, and one that smooth foreign images can pass.

    A flow trained on clothes finds digits likelier than clothes (Nalisnick et al. 2019): see ``typicality`` and
    ``likelihood_ratio``. Works in eval mode, ``batch_size`` inputs at a time.

    >>> from nvpkit.models import nice
    >>> likelihood_score(nice(2, base="normal"), torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
    tensor([1.8379, 6.3379])
    """
    with evaluating(flow):
        return torch.cat([-flow.log_prob(*part) for part in _parts(x, context, batch_size)])


@torch.no_grad()
def latent_norm(flow, x, context=None, batch_size=1024):
    """Return |z|^2 at z = f(x), (N,): under a standard normal base it is chi-squared with D degrees for the own data.

    It leaves the log-det out, so volume changes cannot make a foreign input likely.

    >>> from nvpkit.models import nice
    >>> latent_norm(nice(2), torch.tensor([[0.0, 0.0], [3.0, 1.0]]))
    tensor([ 0., 10.])
    """
    with evaluating(flow):
        return torch.cat([flow(*part)[0].flatten(1).square().sum(1) for part in _parts(x, context, batch_size)])


def likelihood_ratio(log_prob, log_prob_background):
    """Return log p_background(x) - log p(x), (N,): what is foreign to the flow and not to a general one.

    Both arguments (N,) are log-likelihoods of the same inputs, in nats; the background flow is trained on perturbed or
    on more general data (Ren et al. 2019).

    >>> likelihood_ratio([-3.0, -9.0], [-5.0, -6.0])
    tensor([-2.,  3.])
    """
    own, background = as_scores(log_prob, "log_prob"), as_scores(log_prob_background, "log_prob_background")
    if own.shape != background.shape:
        raise ShapeError(f"both hold one value for each input, got {len(own)} and {len(background)} values")
    return background - own


def complexity_score(log_prob, images):
    """Return NLL minus compressed size in nats, (N,) (Serra et al. 2020): foreign is what costs more than its PNG.

    ``log_prob`` (N,) in nats, of integer images. A smooth foreign image is likely, and small as a PNG as well.

    >>> complexity_score([-100.0], torch.zeros(1, 1, 8, 8, dtype=torch.uint8)) < 0
    tensor([True])
    """
    own, size = as_scores(log_prob, "log_prob"), compressed_size(images)
    if own.shape != size.shape:
        raise ShapeError(f"{len(size)} images need as many log-likelihoods, got {len(own)}")
    return -own - size.to(own)


def compressed_size(images):
    """Return the size of each image as an optimised PNG, in nats (8 ln 2 for each byte), (N,).

    ``images`` uint8 (N, C, H, W), C 1 or 3.

    >>> flat, noise = torch.zeros(1, 1, 28, 28), 255 * torch.rand(1, 1, 28, 28)
    >>> small, large = compressed_size(torch.cat([flat, noise]).to(torch.uint8))
    >>> bool(large > 3 * small)
    True
    """
    from PIL import Image

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"expected uint8 images (N, C, H, W), C 1 or 3, got {images.dtype} {tuple(images.shape)}")
    sizes = []
    for image in images.cpu().permute(0, 2, 3, 1):
        file = io.BytesIO()
        Image.fromarray(image.squeeze(-1).numpy()).save(file, format="png", optimize=True)
        sizes.append(file.tell())
    return torch.tensor(sizes, dtype=torch.float64) * 8 * math.log(2)


def typicality(log_prob_train, log_prob_test, m=1, generator=None):
    """Return |mean NLL of a group of m inputs - mean NLL of the training data|, (N // m,) (Nalisnick et al. 2019).

    Samples of a density lie where its typical set is, not at its peak: too likely is foreign too. Groups are formed
    without replacement, in order, or shuffled with ``generator``; the last N % m inputs are left out.

    >>> typicality([-2.0, -4.0], [-3.0, -3.0, -9.0, -9.0], m=2)
    tensor([0., 6.])
    """
    train, test = as_scores(log_prob_train, "log_prob_train"), as_scores(log_prob_test, "log_prob_test")
    if isinstance(m, bool) or not isinstance(m, int) or not 1 <= m <= len(test):
        raise ValueError(f"the group size m is an integer from 1 to the {len(test)} test inputs, got {m!r}")
    if generator is not None:
        test = test[torch.randperm(len(test), generator=generator, device=generator.device).to(test.device)]
    groups = test[: len(test) // m * m].reshape(-1, m).mean(1)
    return (groups - train.mean().to(groups)).abs()


def typicality_threshold(log_prob_train, log_prob_validation, m=1, quantile=0.99, draws=10_000, generator=None):
    """Return the bootstrap threshold of ``typicality``: a float that 1 - ``quantile`` of the own groups exceed.

    ``draws`` groups of m are drawn with replacement from validation data that the flow was not trained on, and the
    quantile of their scores taken (Nalisnick et al. 2019, algorithm 1). A group is foreign where its score is higher.

    >>> nll = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    >>> 0.2 < typicality_threshold(-nll, -nll, m=100, generator=torch.Generator().manual_seed(0)) < 0.32
    True
    """
    train = as_scores(log_prob_train, "log_prob_train")
    validation = as_scores(log_prob_validation, "log_prob_validation")
    if isinstance(m, bool) or not isinstance(m, int) or m < 1 or draws < 1 or not 0 < quantile < 1:
        raise ValueError(f"m and draws are at least 1 and quantile is within 0 and 1, got {m!r}, {draws}, {quantile}")
    blocks = torch.arange(draws).split(max(1, 2**20 // m))
    means = torch.cat([
        validation[torch.randint(len(validation), (len(block), m), generator=generator)].mean(1) for block in blocks
    ])
    return torch.quantile((means - train.mean().to(means)).abs().double(), quantile).item()


def _parts(x, context, batch_size):
    if len(x) == 0:
        raise ShapeError(f"expected at least one input, got an empty batch of shape {tuple(x.shape)}")
    if context is not None and len(context) == 1:
        context = repeated(context, len(x))
    if context is not None and len(context) != len(x):
        raise ShapeError(f"{len(x)} inputs need a context of {len(x)} rows or of one, got {tuple(context.shape)}")
    contexts = [None] * len(x) if context is None else context.split(batch_size)
    yield from zip(x.split(batch_size), contexts)
