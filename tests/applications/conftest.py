"""One small flow on digits, trained once for all tests of this folder."""

import pytest
import torch

from nvpkit.data import images
from nvpkit.models import real_nvp
from nvpkit.training import fit


@pytest.fixture(scope="session")
def digits():
    """Test digits as vectors of integers 0..16, (360, 64)."""
    return images("digits", "test")[0].flatten(1)


@pytest.fixture(scope="session")
def digits_flow():
    torch.manual_seed(0)
    flow = real_nvp(64, n_layers=6, hidden=(96, 96), levels=17)
    fit(flow, images("digits", "train")[0].flatten(1), steps=350, lr=3e-3, batch_size=128, progress=False)
    return flow.eval()
