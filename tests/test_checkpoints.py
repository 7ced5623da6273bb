"""Saved flows come back the same; a file that cannot be read is named, with the remedy, in one sentence."""

import importlib.util
import json
import pickle
import sys

import pytest
import torch

from nvpkit import CheckpointError, models
from nvpkit.checkpoints import load_flow, read_state, save_flow

needs_safetensors = pytest.mark.skipif(
    importlib.util.find_spec("safetensors") is None, reason="safetensors, of the extra [course], is not installed"
)
SETTINGS = {"dim": 4, "hidden": [8, 8], "levels": 17}
BUILDS = {
    "nice": SETTINGS,
    "real_nvp": {"dim": 3, "hidden": 8, "n_layers": 2, "context_dim": 2, "norm": "batchnorm"},
    "image_real_nvp": {"shape": [1, 4, 4], "levels": 17, "hidden": 4, "n_blocks": 1},
}


def randomised(model, settings):
    """A flow whose every float parameter and persistent buffer is random."""
    flow = getattr(models, model)(**settings)
    for value in flow.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape))
    return flow


@pytest.fixture
def saved(tmp_path):
    flow = randomised("nice", SETTINGS)
    save_flow(tmp_path / "run", flow, data="digits")
    return flow, tmp_path / "run"


@pytest.mark.parametrize("named", [".", "model.pt", "model.json"])
def test_a_flow_comes_back_with_its_description(saved, named):
    flow, folder = saved
    back, description = load_flow(folder / named)
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in flow.state_dict().items())
    assert (description["model"], description["data"]) == ("nice", "digits")
    assert SETTINGS.items() <= description["settings"].items()
    assert not back.training
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.pt"]


@pytest.mark.parametrize("weights", ["pt", pytest.param("safetensors", marks=needs_safetensors)])
@pytest.mark.parametrize("model", list(BUILDS))
def test_every_model_comes_back_in_either_format(tmp_path, model, weights):
    flow = randomised(model, BUILDS[model]).double()
    before = torch.get_rng_state()
    back, _ = load_flow(save_flow(tmp_path, flow, weights))
    assert torch.equal(torch.get_rng_state(), before)
    assert back.dtype == torch.float64
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in flow.state_dict().items())
    assert back.config == flow.config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", f"model.{weights}"]
    save_flow(tmp_path, back, "pt")  # the other format's file goes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.pt"]


@needs_safetensors
def test_safetensors_that_are_missing_or_damaged_are_named(tmp_path, monkeypatch):
    flow = randomised("nice", SETTINGS)
    path = save_flow(tmp_path, flow, "safetensors") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or no checkpoint"):
        read_state(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for call in (lambda: save_flow(tmp_path, flow, "safetensors"), lambda: read_state(path)):
        with pytest.raises(CheckpointError, match="pip install safetensors"):
            call()


@needs_safetensors
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "another"])
def test_damage_of_safetensors_is_named(tmp_path, damage):
    path = save_flow(tmp_path, randomised("nice", SETTINGS), "safetensors") / "model.safetensors"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        other = save_flow(tmp_path / "other", randomised("nice", SETTINGS), "safetensors") / "model.safetensors"
        cut = content[: len(content) // 2]
        path.write_bytes({"empty": b"", "truncated": cut, "text": b"hello", "another": other.read_bytes()}[damage])
    with pytest.raises(CheckpointError) as error:
        load_flow(tmp_path)
    assert str(path) in sentence(error)


def test_what_cannot_be_saved_is_refused(tmp_path):
    flow = models.nice(2)
    for weights, notes, message in (
        ("onnx", {}, "weights must be one of pt, safetensors"),
        ("pt", {"model": "x"}, "cannot be called model"),
        ("pt", {"figures": torch.zeros(1)}, "plain values"),
    ):
        with pytest.raises(ValueError, match=message):
            save_flow(tmp_path, flow, weights, **notes)
    flow.config = None
    with pytest.raises(ValueError, match=r"flow\.config, the builder call"):
        save_flow(tmp_path, flow)
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_is_killed_leaves_the_old_flow(saved, monkeypatch):
    flow, folder = saved

    def half(state, to):
        to.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_flow(folder, randomised("nice", SETTINGS))
    back, _ = load_flow(folder)
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in flow.state_dict().items())
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.pt"]


def sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("file", ["model.pt", "model.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "another"])
def test_damage_is_named(saved, file, damage):
    _, folder = saved
    path = folder / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        cut = content[: len(content) // 2]
        path.write_bytes({"empty": b"", "truncated": cut, "text": b"hello", "another": b"[1, 2]"}[damage])
    with pytest.raises(CheckpointError) as error:
        load_flow(folder)
    assert str(path) in sentence(error)
    assert "nvpkit train" in sentence(error)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_one_changed_bit_is_noticed(saved, place):
    _, folder = saved
    content = bytearray((folder / "model.pt").read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pt is damaged"):
        load_flow(folder)


def test_weights_of_another_training_are_noticed(saved):
    _, folder = saved
    torch.save(models.nice(**SETTINGS).state_dict(), folder / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt is damaged or not the file"):
        load_flow(folder)


def test_every_cut_of_the_weights_is_noticed(saved):
    _, folder = saved
    content = (folder / "model.pt").read_bytes()
    for length in range(1, len(content) - 1, max(1, len(content) // 40)):
        (folder / "model.pt").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"model\.pt is damaged"):
            load_flow(folder)


class Harm:
    def __reduce__(self):
        return exec, ("raise SystemExit('code in a checkpoint was run')",)


def test_code_in_a_checkpoint_is_never_run(saved):
    _, folder = saved
    for write in (lambda: torch.save({"s": Harm()}, folder / "model.pt"), lambda: _pickle(folder / "model.pt")):
        write()
        with pytest.raises(CheckpointError, match=r"model\.pt is damaged or no checkpoint"):
            read_state(folder / "model.pt")


def _pickle(path):
    path.write_bytes(pickle.dumps({"s": Harm()}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "another"}, "did not write it"),
        ({"model": "real_glow"}, "install a newer nvpkit"),
        ({"model": "__doc__"}, "install a newer nvpkit"),
        ({"model": 3}, "lacks"),
        ({"settings": {"dim": 1}}, "do not build"),
        ({"settings": {"width": 1}}, "do not build"),
        ({"settings": {"dim": 6}}, "do not belong"),
        ({"sha256": 5}, "lacks"),
        ({"weights": "../model.pt"}, "not one of ours"),
        ({"model": "real_nvp", "settings": {"dim": 4}}, "do not belong"),
    ],
)
def test_a_foreign_description_is_named(saved, change, message):
    _, folder = saved
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message) as error:
        load_flow(folder)
    sentence(error)


def test_weights_that_are_no_dictionary_are_named(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        read_state(tmp_path / "model.pt")
