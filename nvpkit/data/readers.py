"""Read the files of image data sets, packed or not, after a look at their checksums."""

import bz2
import functools
import gzip
import hashlib
import math
from pathlib import Path

import numpy as np

from nvpkit.data.checksums import ACCEPTED, NOTES
from nvpkit.errors import DatasetNotFound


def verify(root, relative):
    """Return the path root/relative; raise DatasetNotFound, naming file and remedy, when its checksum is unknown.

    A file that is accepted but not the official one is announced once, on stdout.
    """
    path = Path(root) / relative
    stat = path.stat()
    checksum = _checksum(str(path), relative, stat.st_size, stat.st_mtime_ns)
    if checksum is None:
        raise DatasetNotFound(
            f"{path} is damaged or another file ({stat.st_size:,} bytes, its checksum is unknown): "
            f"delete it, then {_remedy(relative)}copy the file again"
        )
    _announce(NOTES.get(checksum))
    return path


def _remedy(relative):
    folder = Path(relative).parts[0].lower()
    name = {"fashionmnist": "fashion_mnist"}.get(folder, folder)
    return "" if name == "textures" else f"run `nvpkit data download {name}` or "


@functools.lru_cache
def _checksum(path, relative, size, modified):
    # Size and time are part of the key: a file that changed is read again.
    for accepted in ACCEPTED[relative]:
        kind, _, value = accepted.rpartition(":")
        digest = hashlib.new(kind or "sha256")
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() == value:
            return accepted
    return None


@functools.lru_cache
def _announce(note):
    if note:
        print(f"note: {note}")


def read_idx(path):
    """Return the uint8 array of an IDX file, gz or not (the format of MNIST and its relatives)."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as file:
        content = file.read()
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4).astype(int)
    return np.frombuffer(content, np.uint8, count=math.prod(shape), offset=4 + 4 * len(shape)).reshape(shape)


def read_usps(path):
    """Return (images (N, 16, 16) uint8, labels (N,)) of LIBSVM's text format; values -1..1 become 0..255."""
    with bz2.open(path, "rt") as file:
        numbers = np.fromstring(file.read().replace(":", " "), sep=" ")
    # Each line is the label (digit + 1), then 256 pairs of index and value.
    rows = numbers.reshape(-1, 1 + 2 * 256)
    pixels = ((rows[:, 2::2].astype(np.float32) + 1) / 2 * 255).astype(np.uint8)
    return pixels.reshape(-1, 16, 16), rows[:, 0].astype(np.int64) - 1


def read_npz(path, split):
    """Return (images (N, H, W, 3), labels) of the CIFAR-10 subset."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[f"x_{split}"], arrays[f"y_{split}"]
