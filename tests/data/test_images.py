"""Images: integers of the right shape, the fixed split of digits, and files that are looked at before they are used."""

import gzip
import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nvpkit import DatasetNotFound, data
from nvpkit.data import checksums, readers
from nvpkit.data.images import SETS

COUNTS = {
    "digits": (1437, 360),
    "mnist": (60_000, 10_000),
    "kmnist": (60_000, 10_000),
    "fashion_mnist": (60_000, 10_000),
    "usps": (7291, 2007),
    "cifar10": (5000, 1000),
}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data anywhere: neither beside the project nor in the user's cache."""
    monkeypatch.delenv("NVPKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def small_mnist(nowhere, monkeypatch):
    """A tiny MNIST whose checksums are accepted for the length of a test; half of its files are packed."""
    generator = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte.gz": generator.integers(0, 256, (30, 28, 28)),
        "train-labels-idx1-ubyte": generator.integers(0, 10, 30),
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (20, 28, 28)),
        "t10k-labels-idx1-ubyte.gz": generator.integers(0, 10, 20),
    }
    for name, array in arrays.items():
        monkeypatch.setitem(checksums.ACCEPTED, f"MNIST/raw/{name}", [write_idx(nowhere / "MNIST/raw" / name, array)])
    return nowhere, arrays


@pytest.mark.parametrize("name", [name for name in COUNTS if data.available(name)])
def test_every_set_that_is_here_has_its_shapes_and_types(name, capsys):
    readers._announce.cache_clear()
    for split, count in zip(("train", "test"), COUNTS[name]):
        pixels, labels = data.images(name, split)
        assert pixels.dtype == torch.uint8
        assert labels.dtype == torch.int64
        if name != "cifar10":  # a complete CIFAR-10 has ten times as many
            assert len(pixels) == count
        assert pixels.shape == (len(labels), *SETS[name][2])
        assert 0.9 * (data.levels(name) - 1) < pixels.max() <= data.levels(name) - 1
        assert set(labels.tolist()) == set(range(10))
    said = capsys.readouterr()
    assert said.err == ""
    if name in ("digits", "mnist", "kmnist", "fashion_mnist"):
        assert said.out == ""


def test_digits_are_split_by_the_fixed_permutation():
    order, source = np.random.RandomState(0).permutation(1797), load_digits()
    for split, chosen in (("train", order[:1437]), ("test", order[1437:])):
        pixels, labels = data.images("digits", split)
        assert np.array_equal(pixels[:, 0].numpy(), source.images[chosen])
        assert np.array_equal(labels.numpy(), source.target[chosen])


def test_what_is_returned_is_the_callers_own():
    data.images("digits", "train")[0].zero_()
    assert data.images("digits", "train")[0].max() == 16


def test_size_resizes_with_antialiasing():
    pixels, _ = data.images("digits", "test", size=4)
    assert pixels.shape == (360, 1, 4, 4)
    whole = data.images("digits", "test")[0].float().mean()
    assert abs(pixels.float().mean() - whole) < 0.3
    with pytest.raises(ValueError, match="size"):
        data.images("digits", "test", size=0)


def test_packed_and_unpacked_files_are_read(small_mnist):
    root, arrays = small_mnist
    pixels, labels = data.images("mnist", "train", root=root)
    assert np.array_equal(pixels[:, 0].numpy(), arrays["train-images-idx3-ubyte.gz"])
    assert np.array_equal(labels.numpy(), arrays["train-labels-idx1-ubyte"])
    assert data.images("mnist", "test", root=root)[0].shape == (20, 1, 28, 28)


def test_the_environment_names_the_folder_and_the_cache_is_searched_after_it(small_mnist, monkeypatch):
    root, _ = small_mnist
    assert not data.available("mnist")
    monkeypatch.setenv("NVPKIT_DATA", str(root))
    assert data.available("mnist")
    assert len(data.images("mnist", "test")[0]) == 20
    monkeypatch.setenv("NVPKIT_DATA", str(root / "other"))
    (root / "cache").mkdir()
    (root / "cache/nvpkit").symlink_to(root)
    assert len(data.images("mnist", "test")[0]) == 20


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("file", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"])
def test_a_damaged_file_is_named_with_the_remedy(small_mnist, damage, file):
    root, _ = small_mnist
    data.images("mnist", "test", root=root)  # sound, and remembered as sound
    path = root / "MNIST/raw" / file
    content = bytearray(path.read_bytes())
    content = {"truncated": content[:-20], "empty": b"", "flipped": content[:-9] + b"\1" + content[-8:]}[damage]
    path.write_bytes(content)
    with pytest.raises(DatasetNotFound, match=rf"{file} is damaged.*nvpkit data download mnist"):
        data.images("mnist", "test", root=root)


@pytest.mark.parametrize("name", [name for name in SETS if name != "digits"])
def test_a_missing_set_names_the_folders_searched_and_the_embedded_one(nowhere, monkeypatch, name):
    monkeypatch.setenv("NVPKIT_DATA", str(nowhere / "mine"))
    with pytest.raises(DatasetNotFound) as caught:
        data.images(name, "train")
    message = str(caught.value)
    for part in (name, str(nowhere / "mine"), str(nowhere / "cache/nvpkit"), "digits", f"nvpkit data download {name}"):
        assert part in message
    assert not data.available(name)
    assert isinstance(caught.value, FileNotFoundError)


def test_digits_need_no_folder(nowhere):
    assert data.available("digits")
    assert len(data.images("digits", "test")[0]) == 360


@pytest.mark.parametrize("call", [data.levels, data.available, lambda name: data.images(name, "train")])
def test_unknown_names_and_splits_are_named(call):
    with pytest.raises(ValueError, match=r"no data set called 'minst'.*mnist"):
        call("minst")
    with pytest.raises(ValueError, match='"train" or "test"'):
        data.images("digits", "validation")


def test_a_file_that_is_not_the_official_one_is_announced_once(nowhere, monkeypatch, capsys):
    path = nowhere / "USPS/usps.bz2"
    path.parent.mkdir()
    path.write_bytes(b"another file")
    checksum = hashlib.sha256(b"another file").hexdigest()
    monkeypatch.setitem(checksums.ACCEPTED, "USPS/usps.bz2", ["md5:0", checksum])
    monkeypatch.setitem(checksums.NOTES, checksum, "a rebuilt file")
    readers._announce.cache_clear()
    for _ in range(2):
        assert readers.verify(nowhere, "USPS/usps.bz2") == path
    assert capsys.readouterr().out == "note: a rebuilt file\n"


def test_usps_text_is_read_as_torchvision_reads_it(tmp_path):
    import bz2

    from torchvision.datasets import USPS

    generator = np.random.default_rng(0)
    rows = [
        f"{label} " + " ".join(f"{i + 1}:{v:.6f}" for i, v in enumerate(values))
        for label, values in zip((1, 10, 3), generator.uniform(-1, 1, (3, 256)))
    ]
    (tmp_path / "usps.bz2").write_bytes(bz2.compress("\n".join(rows).encode()))
    pixels, labels = readers.read_usps(tmp_path / "usps.bz2")
    official = USPS(tmp_path, train=True, download=False)
    assert np.array_equal(pixels, official.data)
    assert labels.tolist() == official.targets == [0, 9, 2]


def test_the_note_of_each_unofficial_file_belongs_to_an_accepted_sum():
    sums = {one for accepted in checksums.ACCEPTED.values() for one in accepted}
    assert set(checksums.NOTES) <= sums
    assert all(len(one.rpartition(":")[2]) == (32 if one.startswith("md5:") else 64) for one in sums)
