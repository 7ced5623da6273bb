"""Every test: one torch thread, the data folder beside the project where there is one, no window for pictures."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared/data"
if "NVPKIT_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["NVPKIT_DATA"] = str(BESIDE)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_report_header():
    from nvpkit.data import available
    from nvpkit.data.images import SETS

    missing = [name for name in SETS if not available(name)]
    left_out = ", ".join(missing) + " (tests that read them are left out)" if missing else "none"
    return f"nvpkit data: NVPKIT_DATA={os.environ.get('NVPKIT_DATA', 'not set')}; left out: {left_out}"


@pytest.fixture(autouse=True)
def _one_thread_and_no_open_figures():
    import matplotlib.pyplot as plt
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    plt.close("all")
