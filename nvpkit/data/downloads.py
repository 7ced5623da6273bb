"""Fetch an image data set through torchvision: into a folder of its own first, moved into place when it is complete."""

import contextlib
import os
import socket
import tempfile
from pathlib import Path

from nvpkit.data.images import EMBEDDED, SETS, _check_name, available, images, search_folders
from nvpkit.errors import DatasetNotFound

# Seconds that a connection waits for the next bytes; torchvision itself would wait for ever.
PATIENCE = 30


def download(name, root=None):
    """Fetch ``name`` into ``root`` (or $NVPKIT_DATA, or the user's cache folder) and return that folder.

    torchvision fetches the files, shows a bar with bytes and time left for each, and compares the official checksums.
    Files that are there and sound stay. An interrupted download leaves nothing behind, and one that stalls ends after
    half a minute. Raises DatasetNotFound when the files cannot be had.

    >>> download("digits") is None   # installed with the package
    True
    """
    _check_name(name)
    if name == "digits":
        return None
    folder = search_folders(root)[0]
    if available(name, folder) and _sound(name, folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
            with _patience():
                _fetch(name, Path(partial))
            _move(Path(partial), folder)
    except (OSError, RuntimeError) as error:
        # urllib's errors are OSErrors; torchvision raises RuntimeError when every mirror failed or a sum is wrong.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetNotFound(
            f"{name} could not be downloaded into {folder} ({reason}). "
            f"Check the network and that the folder can be written, or copy the files to {folder / SETS[name][0]}; "
            f"{EMBEDDED}"
        ) from error
    return folder


def _sound(name, folder):
    if name == "cifar10" and not (folder / "CIFAR10/cifar-10-batches-py").is_dir():
        return False  # the subset is no reason not to fetch the whole
    try:
        for split in ("train", "test"):
            images(name, split, root=folder)
    except DatasetNotFound:
        return False
    return True


def _fetch(name, partial):
    from torchvision import datasets

    kind = {"mnist": "MNIST", "kmnist": "KMNIST", "fashion_mnist": "FashionMNIST", "usps": "USPS", "cifar10": "CIFAR10"}
    # torchvision makes its own folder for the MNIST family, and none for the other two.
    target = partial / SETS[name][0] if name in ("usps", "cifar10") else partial
    target.mkdir(exist_ok=True)
    for train in (True, False):
        getattr(datasets, kind[name])(target, train=train, download=True)


@contextlib.contextmanager
def _patience():
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _move(partial, folder):
    for source in sorted(path for path in partial.rglob("*") if path.is_file()):
        target = folder / source.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
