"""Textures: brick, grass and gravel are installed with scikit-image; eight in colour are read from a data folder.

All are in the public domain (CC0). brick: CC0Textures Bricks25; grass: "Grass 01" by linolafett; gravel: CC0Textures
Gravel04. The coloured ones come from ambientCG and Poly Haven.
"""

import functools
import hashlib

import torch

from nvpkit.data import readers
from nvpkit.data.images import resize, search_folders
from nvpkit.distributions.base import check_count
from nvpkit.errors import DatasetNotFound, ShapeError

# SHA-256 of the pixels (512, 512) row by row, since releases of scikit-image may pack the same pixels in another way.
EMBEDDED = {
    "brick": "664a145c5253f0d66db1a12776785f0ea35a44cc7447ffc933f6d6118dc58643",
    "grass": "b18dae4c68bf850a7a7b28a29d1846c76be890665117b57fd125fe29c4d4ede6",
    "gravel": "3d51ad45f789cd8b98534b7af6bce774e499ead45421135afd757358c7230009",
}
# name -> path below the data root; 256 x 256 RGB, checksums in checksums.ACCEPTED
FILES = {
    "bark": "textures/bark_bark014.png",
    "mosaic": "textures/mosaic_facade005.png",
    "onyx": "textures/onyx_onyx003.png",
    "rust": "textures/rust_metal053c.png",
    "slate": "textures/slate_rock058.png",
    "stonewall": "textures/stonewall_bricks102.png",
    "tiles": "textures/tiles_long_white.png",
    "wood": "textures/wood_rosewood_veneer1.png",
}


def texture(name, root=None, size=None):
    """Return a texture as uint8 (C, H, W): brick, grass, gravel (1, 512, 512), or one of the colours (3, 256, 256).

    The grey ones need neither folder nor network; the others are looked for below ``root``, or else below $NVPKIT_DATA
    and in the user's cache folder. Checksums are checked. ``size`` resizes to (size, size) with antialiasing. Raises
    ValueError for an unknown name and DatasetNotFound, naming the folders searched, for a file that is not there.

    >>> texture("brick").shape, texture("gravel", size=128).shape
    (torch.Size([1, 512, 512]), torch.Size([1, 128, 128]))
    """
    if name not in EMBEDDED and name not in FILES:
        raise ValueError(f"there is no texture called {name!r}; there are {', '.join([*EMBEDDED, *FILES])}")
    image = torch.tensor(_installed(name) if name in EMBEDDED else _from_folder(name, root))
    image = image[None] if image.ndim == 2 else image.permute(2, 0, 1).contiguous()
    return image if size is None else resize(image[None], size)[0]


def texture_names(root=None):
    """Return the names that ``texture`` finds here: the embedded ones first, then those in a data folder.

    >>> texture_names(root="no such folder")
    ['brick', 'grass', 'gravel']
    """
    return [*EMBEDDED, *(name for name in FILES if _find(name, root) is not None)]


def random_crops(image, n, size, generator=None):
    """Cut n squares (n, C, size, size) out of an image (C, H, W), at places drawn uniformly; dtype is kept.

    A part of the image as argument keeps crops for training and for testing apart.

    >>> random_crops(texture("grass")[:, :, :256], 10, 64).shape
    torch.Size([10, 1, 64, 64])
    """
    check_count(n, "crops")
    check_count(size, "pixels along a crop")
    if image.ndim != 3:
        raise ShapeError(f"random_crops expects one image (C, H, W), got shape {tuple(image.shape)}")
    if size > min(image.shape[1:]):
        raise ShapeError(f"a crop of {size} x {size} does not fit into an image of shape {tuple(image.shape)}")
    # Every crop there is, as a view: (C, rows, columns, size, size).
    crops = image.unfold(1, size, 1).unfold(2, size, 1)
    top, left = (torch.randint(crops.shape[axis], (n,), generator=generator) for axis in (1, 2))
    return crops[:, top, left].movedim(1, 0).contiguous()


@functools.lru_cache
def _installed(name):
    import skimage.data

    try:
        pixels = getattr(skimage.data, name)()
    except (OSError, ImportError) as error:
        # A scikit-image without the file tries to fetch it, which takes a network and one more package.
        raise DatasetNotFound(
            f"the installed scikit-image has no texture {name} ({error}): install scikit-image 0.22 or later from "
            "its wheel"
        ) from error
    if pixels.shape != (512, 512) or hashlib.sha256(pixels.tobytes()).hexdigest() != EMBEDDED[name]:
        raise DatasetNotFound(f"the texture {name} of the installed scikit-image is damaged: install it again")
    return pixels


def _from_folder(name, root):
    folder = _find(name, root)
    if folder is None:
        raise DatasetNotFound(
            f"the texture {name} was not found; searched {', '.join(map(str, search_folders(root)))} for "
            f"{FILES[name]}. brick, grass and gravel are installed: texture(\"brick\")"
        )
    import skimage.io

    return skimage.io.imread(readers.verify(folder, FILES[name]))


def _find(name, root):
    return next((folder for folder in search_folders(root) if (folder / FILES[name]).is_file()), None)
