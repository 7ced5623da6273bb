"""Downloads: through torchvision, whole or not at all, and a clear sentence without a network."""

import shutil
import urllib.error

import pytest
import torch
import torchvision

from nvpkit import DatasetNotFound, data
from nvpkit.data import checksums


@pytest.fixture
def torchvision_set(monkeypatch):
    """Replace torchvision's MNIST by one that writes files, or fails half way."""

    def install(fail=None):
        class Fake:
            def __init__(self, root, train, download):
                assert download
                folder = root / "MNIST/raw"
                folder.mkdir(parents=True, exist_ok=True)
                prefix = "train" if train else "t10k"
                for stem in ("images-idx3", "labels-idx1"):
                    (folder / f"{prefix}-{stem}-ubyte").write_bytes(b"new " + stem.encode())
                if fail is not None and not train:
                    raise fail

        monkeypatch.setattr(torchvision.datasets, "MNIST", Fake)

    return install


def test_files_arrive_in_their_places(tmp_path, torchvision_set):
    torchvision_set()
    assert data.download("mnist", root=tmp_path / "new") == tmp_path / "new"
    assert data.available("mnist", root=tmp_path / "new")
    assert (tmp_path / "new/MNIST/raw/t10k-labels-idx1-ubyte").read_bytes() == b"new labels-idx1"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["MNIST"]


@pytest.mark.parametrize(
    "fail", [urllib.error.URLError("no route to host"), RuntimeError("Error downloading"), ConnectionResetError()]
)
def test_an_interrupted_download_leaves_nothing_and_says_what_to_do(tmp_path, torchvision_set, fail):
    torchvision_set(fail)
    with pytest.raises(DatasetNotFound, match=r"mnist could not be downloaded.*Check the network.*MNIST.*digits"):
        data.download("mnist", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def transport(monkeypatch):
    """Let torchvision's own code run, with the data folder in place of the network."""
    utils = torchvision.datasets.utils
    folders = {"kmnist": "KMNIST/raw", "multiclass": "USPS"}

    def fetch(url, filename, *rest):
        folder = next(folder for mark, folder in folders.items() if mark in url)
        shutil.copy(data.search_folders()[0] / folder / url.rpartition("/")[2], filename)

    monkeypatch.setattr(utils, "_urlretrieve", fetch)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **settings: url)


@pytest.mark.skipif(not data.available("kmnist"), reason="the data folder has no KMNIST to stand for the network")
def test_torchvisions_own_files_are_accepted(tmp_path, transport):
    data.download("kmnist", root=tmp_path)
    for split in ("train", "test"):
        fetched, here = data.images("kmnist", split, root=tmp_path), data.images("kmnist", split)
        assert all(torch.equal(one, other) for one, other in zip(fetched, here))


@pytest.mark.skipif(not data.available("usps"), reason="the data folder has no USPS to stand for the network")
def test_a_file_that_is_not_the_official_one_is_not_taken_from_the_network(tmp_path, transport, monkeypatch):
    # torchvision knows the MD5 sum of the official training file; a file that differs is refused.
    address, file, _ = torchvision.datasets.USPS.split_list["train"]
    monkeypatch.setitem(torchvision.datasets.USPS.split_list, "train", [address, file, "0" * 32])
    with pytest.raises(DatasetNotFound, match="could not be downloaded"):
        data.download("usps", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_replaced_and_sound_ones_stay(tmp_path, torchvision_set, monkeypatch):
    torchvision_set()
    data.download("mnist", root=tmp_path)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    path.write_bytes(b"damaged")
    data.download("mnist", root=tmp_path)
    assert path.read_bytes() == b"new images-idx3"
    monkeypatch.setattr("nvpkit.data.downloads._sound", lambda name, folder: True)
    path.write_bytes(b"sound")
    data.download("mnist", root=tmp_path)
    assert path.read_bytes() == b"sound"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetNotFound, match="file/below"):
        data.download("mnist", root=tmp_path / "file/below")


def test_digits_need_no_download(tmp_path):
    assert data.download("digits", root=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mnist", "kmnist", "fashion_mnist", "usps"])
def test_torchvisions_official_sums_are_the_ones_we_accept(name):
    """torchvision checks what it fetches by MD5; our table lists the same files."""
    kinds = {"mnist": "MNIST", "kmnist": "KMNIST", "fashion_mnist": "FashionMNIST", "usps": "USPS"}
    kind = getattr(torchvision.datasets, kinds[name])
    if name == "usps":
        files = [f"USPS/{entry[1]}" for entry in kind.split_list.values()]
        assert f"md5:{kind.split_list['train'][2]}" in checksums.ACCEPTED["USPS/usps.bz2"]
    else:
        files = [f"{kinds[name]}/raw/{file}" for file, _ in kind.resources]
    assert set(files) <= set(checksums.ACCEPTED)
