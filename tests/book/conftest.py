"""One build of the book, as CI does it, for all tests of the built pages."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "book")]

OUTPUT = ROOT / "_build" / "test-book"


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def pages(root):
    """The pages of the table of contents, without suffix."""
    from references import numbered_pages

    return [page for page, _ in numbered_pages(root)]


@pytest.fixture(scope="session")
def chapters(root):
    from references import numbered_pages

    return [page for page, number in numbered_pages(root) if number is not None]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the built pages. Several pytest processes build once; the execution cache is `make course`'s."""
    basetemp = tmp_path_factory.getbasetemp()
    stamp = (basetemp.parent if "PYTEST_XDIST_WORKER" in os.environ else basetemp) / "book-is-built"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with (OUTPUT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            _build()
            stamp.touch()
    return OUTPUT / "_build" / "html"


def _build():
    shutil.rmtree(OUTPUT / "_build" / "html", ignore_errors=True)
    command = [
        Path(sys.executable).with_name("jupyter-book"), "build", ".", "--toc", "book/_toc.yml",
        "--path-output", OUTPUT, "-W", "-n", "--keep-going", "--all",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)
    # Jupyter Book's own summary is long and comes last: the cause stands above it.
    assert done.returncode == 0, f"the book does not build:\n{done.stderr[-6000:]}\n{done.stdout[-2000:]}"
