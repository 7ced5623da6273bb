"""Thousands of mixtures at once: each the mixture that it says it is, and its label the way back."""

import math

import pytest
import torch

from nvpkit import ShapeError, data
from nvpkit.data.mixtures import Mixtures, label_layout, random_mixtures
from nvpkit.distributions import random_gaussian_mixture


def drawn(n=40, dim=3, k=4, seed=0):
    return random_mixtures(n, dim, k, torch.Generator().manual_seed(seed))


def test_one_mixture_is_the_one_of_random_gaussian_mixture():
    one = random_gaussian_mixture(3, 4, torch.Generator().manual_seed(5))
    many = drawn(1, seed=5)
    for name in ("weights", "means", "factors"):
        assert torch.equal(getattr(one, name), getattr(many, name)[0])


@pytest.mark.parametrize(("dim", "k"), [(1, 1), (1, 3), (2, 4), (5, 3)])
def test_log_prob_of_all_is_that_of_each(dim, k):
    mixtures = drawn(7, dim, k).double()
    x = mixtures.sample(11, torch.Generator().manual_seed(1))
    assert x.shape == (7, 11, dim)
    each = torch.stack([mixture.log_prob(points) for mixture, points in zip(mixtures, x)])
    torch.testing.assert_close(mixtures.log_prob(x), each)


def test_work_in_chunks_changes_nothing():
    mixtures = drawn(600, 8, 8)
    x = mixtures.sample(500, torch.Generator().manual_seed(1))
    some = mixtures[590:]
    torch.testing.assert_close(mixtures.log_prob(x)[590:], some.log_prob(x[590:]), rtol=1e-5, atol=1e-4)


def test_each_mixture_is_sampled_from_itself():
    """The mean information of the points of mixture i is its entropy, and its posterior averages to its weights."""
    mixtures = drawn(5, 2, 3)
    x = mixtures.sample(20_000, torch.Generator().manual_seed(1))
    information = -mixtures.log_prob(x)
    for i, mixture in enumerate(mixtures):
        error = information[i].std().item() / math.sqrt(20_000)
        assert abs(information[i].mean().item() - mixture.entropy()) < 4 * error
        torch.testing.assert_close(mixture.posterior(x[i]).mean(0), mixture.weights, rtol=0, atol=0.015)


@pytest.mark.parametrize(("dim", "k"), [(1, 1), (1, 3), (2, 4), (4, 2)])
def test_labels_are_the_parameters_and_lead_back(dim, k):
    mixtures = drawn(6, dim, k).double()
    labels = mixtures.labels
    assert labels.shape == (6, k * (1 + dim + dim * (dim + 1) // 2))
    back = Mixtures.from_labels(labels, dim, k)
    for name in ("weights", "means", "factors"):
        torch.testing.assert_close(getattr(back, name), getattr(mixtures, name), rtol=1e-6, atol=1e-7)


def test_every_part_lies_where_the_layout_says():
    mixtures, layout = drawn(6, 3, 4), label_layout(3, 4)
    labels = mixtures.labels
    assert torch.equal(labels[:, layout["means"]].reshape(6, 4, 3), mixtures.means)
    torch.testing.assert_close(labels[:, layout["log_weights"]].exp().sum(1), torch.ones(6))
    below = labels[:, layout["off_diagonals"]].reshape(6, 4, 3)
    assert torch.equal(below[2, 1], mixtures.factors[2, 1][[1, 2, 2], [0, 0, 1]])
    scales = labels[:, layout["log_diagonals"]].reshape(6, 4, 3).exp()
    torch.testing.assert_close(scales[2, 1], mixtures.factors[2, 1].diagonal())
    covered = sorted(i for part in layout.values() for i in range(labels.shape[1])[part])
    assert covered == list(range(labels.shape[1]))


def test_any_vector_is_a_mixture():
    labels = 2 * torch.randn(5, label_layout(2, 3)["off_diagonals"].stop)
    mixtures = Mixtures.from_labels(labels, 2, 3)
    torch.testing.assert_close(mixtures.weights.sum(1), torch.ones(5))
    assert all(torch.isfinite(mixture.log_prob(torch.zeros(1, 2))).all() for mixture in mixtures)


def test_ordered_components_are_the_same_density_and_one_label():
    mixtures = drawn(9, 2, 4).double()
    x = mixtures.sample(5)
    ordered = mixtures.ordered()
    torch.testing.assert_close(ordered.log_prob(x), mixtures.log_prob(x))
    assert (ordered.means[..., 0].diff(dim=1) >= 0).all()
    order = [2, 0, 3, 1]
    covariances = mixtures.factors @ mixtures.factors.mT
    shuffled = Mixtures(mixtures.weights[:, order], mixtures.means[:, order], covariances[:, order])
    torch.testing.assert_close(shuffled.ordered().labels, ordered.labels)


def test_labelled_points_come_from_the_mixture_of_their_label():
    mixtures = drawn(3, 2, 2)
    x, labels = mixtures.labelled_sample(30_000, torch.Generator().manual_seed(1))
    for mixture, label in zip(mixtures, mixtures.labels):
        own = x[(labels == label).all(1)]
        assert abs(len(own) / 30_000 - 1 / 3) < 0.015
        information = -mixture.log_prob(own)
        assert abs(information.mean().item() - mixture.entropy()) < 4 * information.std().item() / math.sqrt(len(own))


def test_generator_index_and_dtype():
    mixtures = drawn()
    one, same, other = (mixtures.sample(3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len(mixtures) == 40
    assert len(mixtures[5:9]) == 4
    assert torch.equal(mixtures[5:9].means, mixtures.means[5:9])
    with pytest.raises(IndexError):
        mixtures[40]
    assert drawn().double().sample(2).dtype == torch.float64
    assert data.random_mixtures is random_mixtures


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_mixtures(0, 2), "number of mixtures must be an integer of at least 1, got 0"),
        (lambda: random_mixtures(3, -1), "number of dimensions"),
        (lambda: random_mixtures(3, 2, 0), "number of components"),
        (lambda: drawn().sample(-2), "number of samples"),
        (lambda: drawn().labelled_sample(0), "number of samples"),
        (lambda: drawn().log_prob(torch.zeros(40, 3)), r"\(40, n, 3\), got \(40, 3\)"),
        (lambda: drawn().log_prob(torch.zeros(39, 5, 3)), r"\(40, n, 3\), got \(39, 5, 3\)"),
        (lambda: Mixtures.from_labels(torch.zeros(2, 23), 2, 4), r"\(N, 24\), got \(2, 23\)"),
        (lambda: Mixtures.from_labels(torch.full((2, 24), math.nan), 2, 4), "labels of mixtures must be finite"),
        (lambda: Mixtures(torch.ones(2, 1), torch.zeros(2, 1, 2), torch.zeros(2, 1, 2, 2)), "covariance 0, 0 of the"),
        (lambda: Mixtures(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None]), r"means \(N, K, D\)"),
    ],
)
def test_what_is_no_mixture_or_no_count_is_refused(call, message):
    with pytest.raises((ShapeError, ValueError), match=message):
        call()
