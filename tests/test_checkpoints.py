"""Saved flows come back the same; a file that cannot be read is named, with the remedy, in one sentence."""

import json
import pickle

import pytest
import torch

from nvpkit import CheckpointError, models
from nvpkit.checkpoints import load_flow, read_state, save_flow

SETTINGS = {"dim": 4, "hidden": [8, 8], "levels": 17}


@pytest.fixture
def saved(tmp_path):
    flow = models.nice(**SETTINGS)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    save_flow(tmp_path / "run", flow, "nice", SETTINGS, data="digits")
    return flow, tmp_path / "run"


@pytest.mark.parametrize("named", [".", "model.pt", "model.json"])
def test_a_flow_comes_back_with_its_description(saved, named):
    flow, folder = saved
    back, description = load_flow(folder / named)
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in flow.state_dict().items())
    assert (description["model"], description["settings"], description["data"]) == ("nice", SETTINGS, "digits")
    assert not back.training
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
