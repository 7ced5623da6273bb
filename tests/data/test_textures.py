"""Textures: the installed pixels and no others, and crops that are cut fairly."""

import hashlib

import numpy as np
import pytest
import skimage.data
import torch

from nvpkit import DatasetNotFound, ShapeError, data
from nvpkit.data import checksums, textures


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.delenv("NVPKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_the_embedded_ones_need_no_folder_and_are_scikit_images_own(nowhere, name):
    image = data.texture(name)
    assert (image.shape, image.dtype) == ((1, 512, 512), torch.uint8)
    assert np.array_equal(image[0].numpy(), getattr(skimage.data, name)())
    assert data.texture_names() == ["brick", "grass", "gravel"]
    image.zero_()
    assert data.texture(name).max() > 200


@pytest.mark.skipif(len(data.texture_names()) == 3, reason="the data folder has no textures")
def test_those_of_the_data_folder_are_in_colour():
    for name in data.texture_names()[3:]:
        image = data.texture(name)
        assert (image.shape, image.dtype) == ((3, 256, 256), torch.uint8)
        assert image.is_contiguous()
        assert image.float().std() > 4
        assert data.texture(name, size=64).shape == (3, 64, 64)


@pytest.mark.parametrize("name", textures.FILES)
def test_a_missing_file_names_the_folders_searched_and_the_embedded_ones(nowhere, monkeypatch, name):
    monkeypatch.setenv("NVPKIT_DATA", str(nowhere / "mine"))
    with pytest.raises(DatasetNotFound) as caught:
        data.texture(name)
    for part in (name, str(nowhere / "mine"), str(nowhere / "cache/nvpkit"), textures.FILES[name], "brick"):
        assert part in str(caught.value)


def test_colours_keep_their_channels(nowhere, monkeypatch):
    import skimage.io

    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    path = nowhere / textures.FILES["bark"]
    path.parent.mkdir()
    skimage.io.imsave(path, pixels, check_contrast=False)
    with pytest.raises(DatasetNotFound, match=r"bark_bark014\.png is damaged or another file .* delete it, then copy"):
        data.texture("bark", root=nowhere)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(checksums.ACCEPTED, textures.FILES["bark"], [checksum])
    path.touch()  # a file that changed is looked at again
    assert np.array_equal(data.texture("bark", root=nowhere).permute(1, 2, 0).numpy(), pixels)
    assert data.texture_names(root=nowhere) == ["brick", "grass", "gravel", "bark"]


@pytest.fixture
def unread():
    textures._installed.cache_clear()
    yield
    textures._installed.cache_clear()


def test_a_scikit_image_without_the_file_is_named(monkeypatch, unread):
    def absent():
        raise ModuleNotFoundError("the package pooch is needed to download data")

    monkeypatch.setattr(skimage.data, "gravel", absent)
    with pytest.raises(DatasetNotFound, match=r"no texture gravel .*pooch.*scikit-image 0\.22"):
        data.texture("gravel")


@pytest.mark.parametrize("wrong", [np.zeros((512, 512), np.uint8), np.zeros((9, 9), np.uint8)])
def test_other_pixels_are_refused(monkeypatch, unread, wrong):
    monkeypatch.setattr(skimage.data, "gravel", lambda: wrong)
    with pytest.raises(DatasetNotFound, match="gravel of the installed scikit-image is damaged"):
        data.texture("gravel")


def test_crops_are_parts_of_the_image_at_uniform_places():
    """Pixel (r, c) holds its own address, so that a crop tells where it was cut."""
    image = (16 * torch.arange(9)[:, None] + torch.arange(12)).to(torch.uint8)[None].repeat(2, 1, 1)
    crops = data.random_crops(image, 8000, 4, torch.Generator().manual_seed(0))
    assert (crops.shape, crops.dtype) == ((8000, 2, 4, 4), torch.uint8)
    top, left = (crops[:, 0, 0, 0] // 16).long(), (crops[:, 0, 0, 0] % 16).long()
    for i in range(0, 8000, 997):
        assert torch.equal(crops[i], image[:, top[i] : top[i] + 4, left[i] : left[i] + 4])
    counts = torch.bincount(9 * top + left, minlength=54)
    assert len(counts) == 54  # six rows and nine columns, the last ones included
    assert ((counts - 8000 / 54) ** 2 / (8000 / 54)).sum() < 53 + 5 * (2 * 53) ** 0.5


def test_the_generator_decides_and_crops_are_the_callers_own():
    image = data.texture("grass")
    one, same, other = (data.random_crops(image, 3, 64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    one.zero_()
    assert torch.equal(image, data.texture("grass"))
    assert torch.equal(data.random_crops(image[:, :64, :64], 1, 64)[0], image[:, :64, :64])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.texture("lawn"), "no texture called 'lawn'; there are brick, grass, gravel, bark"),
        (lambda: data.texture("grass", size=0), "size must be a positive integer"),
        (lambda: data.random_crops(torch.zeros(1, 8, 8), -1, 4), "number of crops"),
        (lambda: data.random_crops(torch.zeros(1, 8, 8), 1, 0), "number of pixels along a crop"),
        (lambda: data.random_crops(torch.zeros(1, 8, 6), 1, 7), r"7 x 7 does not fit .* \(1, 8, 6\)"),
        (lambda: data.random_crops(torch.zeros(8, 8), 1, 4), r"\(C, H, W\), got shape \(8, 8\)"),
    ],
)
def test_what_cannot_be_cut_is_refused(call, message):
    with pytest.raises((ShapeError, ValueError), match=message):
        call()
