"""Every test: one torch thread, the data folder beside the project where there is one, no window for pictures."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared/data"
if "NVPKIT_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["NVPKIT_DATA"] = str(BESIDE)
# Two threads on a busy machine of two cores are slower than one.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

# The same examples in every run, and no time limit for one: a busy machine is no failure.
hypothesis.settings.register_profile("nvpkit", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("nvpkit")


def pytest_report_header():
    from nvpkit.data import available
    from nvpkit.data.images import SETS

    missing = [name for name in SETS if not available(name)]
    left_out = ", ".join(missing) + " (tests that read them are left out)" if missing else "none"
    return f"nvpkit data: NVPKIT_DATA={os.environ.get('NVPKIT_DATA', 'not set')}; left out: {left_out}"


@pytest.fixture(autouse=True)
def _one_thread_one_seed_no_open_figures():
    # Only what is loaded already: tests of the course and of the book need not wait for torch.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
        sys.modules["torch"].manual_seed(0)
    _close_figures()  # those of the package's own examples, which run outside this folder
    yield
    _close_figures()


def _close_figures():
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
