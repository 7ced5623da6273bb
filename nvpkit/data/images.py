"""Image data sets as integers: digits is installed with the package, the others are read from a data folder."""

import functools
import os
from pathlib import Path

import numpy as np
import torch

from nvpkit.data import readers
from nvpkit.errors import DatasetNotFound

# name -> (folder below the root, levels, shape of one image)
SETS = {
    "digits": (None, 17, (1, 8, 8)),
    "mnist": ("MNIST", 256, (1, 28, 28)),
    "kmnist": ("KMNIST", 256, (1, 28, 28)),
    "fashion_mnist": ("FashionMNIST", 256, (1, 28, 28)),
    "usps": ("USPS", 256, (1, 16, 16)),
    "cifar10": ("CIFAR10", 256, (3, 32, 32)),
}
EMBEDDED = 'the 8x8 digits are installed with the package: images("digits", ...)'


def images(name, split, root=None, size=None):
    """Return (images uint8 (N, C, H, W), labels int64 (N,)) of the split "train" or "test".

    Pixels are integers 0..levels(name)-1. Files are looked for below ``root``, or else below $NVPKIT_DATA, then in the
    user's cache folder; their checksums are checked. ``size`` resizes to (size, size) with antialiasing. Nothing is
    downloaded here: see ``download``. Raises DatasetNotFound, naming the folders searched, when files are missing or
    damaged, and ValueError for an unknown name or split.

    >>> pixels, labels = images("digits", "train")
    >>> pixels.shape, pixels.dtype, labels.shape, levels("digits")
    (torch.Size([1437, 1, 8, 8]), torch.uint8, torch.Size([1437]), 17)
    """
    _check_name(name)
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    if name == "digits":
        pixels, labels = _digits(split)
    else:
        folder = _find(name, root)
        if folder is None:
            raise DatasetNotFound(
                f"the data set {name} was not found; searched {', '.join(map(str, search_folders(root)))}. "
                f"Run `nvpkit data download {name}`, or set NVPKIT_DATA to the folder that holds {SETS[name][0]}/; "
                f"{EMBEDDED}"
            )
        pixels, labels = _read(name, split, folder)
    pixels = torch.tensor(np.ascontiguousarray(pixels), dtype=torch.uint8)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    if size is not None:
        pixels = resize(pixels, size)
    return pixels, torch.tensor(np.asarray(labels), dtype=torch.int64)


def levels(name):
    """Return the number of grey levels: 17 for digits, 256 for the others.

    >>> levels("mnist")
    256
    """
    _check_name(name)
    return SETS[name][1]


def available(name, root=None):
    """Say whether ``images(name, ...)`` finds its files; it does not read them.

    >>> available("digits")
    True
    """
    _check_name(name)
    return name == "digits" or _find(name, root) is not None


def search_folders(root=None):
    """Return the folders that are searched, in order: ``root`` alone, or $NVPKIT_DATA and the user's cache folder.

    >>> [folder.name for folder in search_folders("my-data")]
    ['my-data']
    """
    if root is not None:
        return [Path(root)]
    named = os.environ.get("NVPKIT_DATA")
    return [*([Path(named)] if named else []), cache_folder()]


def cache_folder():
    """Return the folder that ``download`` fills when no other is named.

    >>> cache_folder().name
    'nvpkit'
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nvpkit"


def _check_name(name):
    if name not in SETS:
        raise ValueError(f"there is no data set called {name!r}; there are {', '.join(SETS)}")


def _find(name, root):
    return next((folder for folder in search_folders(root) if _complete(name, folder)), None)


def _complete(name, folder):
    """Say whether every file of the data set is below folder, in one of its forms."""
    if name == "cifar10":
        return _cifar_official(folder) or (folder / "CIFAR10/cifar10_subset.npz").is_file()
    return all(any((folder / form).is_file() for form in forms) for forms in _forms(name).values())


def _forms(name):
    """Return {(split, part): paths below the root, in the order in which they are looked for}."""
    if name == "usps":
        return {("train", "both"): ["USPS/usps.bz2"], ("test", "both"): ["USPS/usps.t.bz2"]}
    stems = {
        (split, part): f"{SETS[name][0]}/raw/{prefix}-{part}-idx{rank}-ubyte"
        for split, prefix in (("train", "train"), ("test", "t10k"))
        for part, rank in (("images", 3), ("labels", 1))
    }
    return {key: [stem, f"{stem}.gz"] for key, stem in stems.items()}


def _read(name, split, folder):
    if name == "cifar10":
        return _read_cifar(split, folder)
    paths = {
        part: readers.verify(folder, next(form for form in forms if (folder / form).is_file()))
        for (one, part), forms in _forms(name).items()
        if one == split
    }
    if name == "usps":
        return readers.read_usps(paths["both"])
    return readers.read_idx(paths["images"]), readers.read_idx(paths["labels"])


def _cifar_official(folder):
    return (folder / "CIFAR10/cifar-10-batches-py").is_dir()


def _read_cifar(split, folder):
    if not _cifar_official(folder):
        return readers.read_npz(readers.verify(folder, "CIFAR10/cifar10_subset.npz"), split)
    from torchvision.datasets import CIFAR10

    try:
        # torchvision compares the official MD5 sums before it unpickles anything.
        official = CIFAR10(folder / "CIFAR10", train=split == "train", download=False)
    except RuntimeError as error:
        raise DatasetNotFound(
            f"{folder / 'CIFAR10/cifar-10-batches-py'} is incomplete or damaged: delete it, then run "
            "`nvpkit data download cifar10`"
        ) from error
    return official.data, official.targets


@functools.lru_cache
def _all_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target


def _digits(split):
    pixels, labels = _all_digits()
    order = np.random.RandomState(0).permutation(1797)
    chosen = order[:1437] if split == "train" else order[1437:]
    return pixels[chosen], labels[chosen]


def resize(pixels, size):
    """Return uint8 images (N, C, H, W) resized to (N, C, size, size) with antialiasing."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size must be a positive integer, got {size!r}")
    resized = torch.nn.functional.interpolate(pixels.float(), (size, size), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)
