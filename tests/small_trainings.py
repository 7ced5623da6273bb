"""Small flows and short trainings, for the tests of training and of resuming it."""

import torch

from nvpkit import models
from nvpkit.training import fit


def small(seed=0, **settings):
    torch.manual_seed(seed)
    return models.nice(2, hidden=(16,), **settings)


def state(flow):
    return {key: value.clone() for key, value in flow.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def quietly(flow, data, **settings):
    return fit(flow, data, progress=False, **{"steps": 20, "batch_size": 32, **settings})
