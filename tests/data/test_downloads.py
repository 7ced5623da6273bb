"""Downloads: through torchvision, whole or not at all, and a clear sentence without a network."""

import gc
import gzip
import hashlib
import http.server
import re
import shutil
import socket
import threading
import urllib.error
import warnings

import numpy as np
import pytest
import torch
import torchvision

from nvpkit import DatasetNotFound, data
from nvpkit.data import checksums, downloads


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


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves ``files``; ``fault`` says what goes wrong with the third of them."""

    files, fault = {}, None

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        content = self.files[self.path.lstrip("/")]
        fault = self.fault if self.path.endswith("t10k-images-idx3-ubyte.gz") else None
        if fault == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "truncated":
            content = content[: len(content) // 2]
        if fault == "other bytes":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    """A server on this machine with a small KMNIST, which torchvision takes for the official one."""
    random = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": random.integers(0, 256, (300, 28, 28)),
        "train-labels-idx1-ubyte": random.integers(0, 10, 300),
        "t10k-images-idx3-ubyte": random.integers(0, 256, (200, 28, 28)),
        "t10k-labels-idx1-ubyte": random.integers(0, 10, 200),
    }
    plain = {
        name: bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
        for name, array in arrays.items()
    }
    packed = {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    monkeypatch.setattr(Mirror, "files", packed)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    kind = torchvision.datasets.KMNIST
    monkeypatch.setattr(kind, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    sums = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(kind, "resources", sums)
    for name, content in {**plain, **packed}.items():
        monkeypatch.setitem(checksums.ACCEPTED, f"KMNIST/raw/{name}", [hashlib.sha256(content).hexdigest()])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield Mirror, arrays
    server.shutdown()
    server.server_close()


def test_a_download_shows_bytes_and_time_left_and_arrives_whole(tmp_path, mirror, capfd):
    _, arrays = mirror
    assert data.download("kmnist", root=tmp_path) == tmp_path
    shown = capfd.readouterr().err
    # 207k/207k [00:00<00:00, 53.1MB/s], for each of the four files
    assert len(re.findall(r"100%\|.*?\| ([\d.]+k?)/\1 \[\d\d:\d\d<\d\d:\d\d, .*?B/s\]", shown)) == 4
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels, labels = data.images("kmnist", split, root=tmp_path)
        assert np.array_equal(pixels[:, 0].numpy(), arrays[f"{prefix}-images-idx3-ubyte"])
        assert np.array_equal(labels.numpy(), arrays[f"{prefix}-labels-idx1-ubyte"])
    assert [path.name for path in tmp_path.iterdir()] == ["KMNIST"]


@pytest.mark.parametrize("fault", ["truncated", "other bytes", "missing"])
def test_what_goes_wrong_on_the_way_leaves_nothing_half_written(tmp_path, mirror, monkeypatch, fault):
    server, _ = mirror
    monkeypatch.setattr(server, "fault", fault)
    reason = "404" if fault == "missing" else "corrupted"
    with pytest.raises(DatasetNotFound, match=rf"kmnist could not be downloaded.*{reason}.*Check the network.*digits"):
        data.download("kmnist", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not data.available("kmnist", root=tmp_path)
    with warnings.catch_warnings():
        # Of a refused request urllib leaves the answer open until it is collected.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    monkeypatch.setattr(server, "fault", None)
    data.download("kmnist", root=tmp_path)
    assert len(data.images("kmnist", "test", root=tmp_path)[0]) == 200


def test_without_a_server_the_error_says_so_at_once(tmp_path, mirror, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    with pytest.raises(DatasetNotFound, match=r"kmnist could not be downloaded.*refused.*Check the network"):
        data.download("kmnist", root=tmp_path)
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


def test_a_connection_that_stalls_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    """While torchvision fetches, every socket has a time limit; afterwards it is what it was."""
    limits = []

    def fetch(name, partial):
        limits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr(downloads, "_fetch", fetch)
    with pytest.raises(DatasetNotFound, match=r"timed out.*Check the network"):
        data.download("mnist", root=tmp_path)
    assert limits == [downloads.PATIENCE]
    assert socket.getdefaulttimeout() is None


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
