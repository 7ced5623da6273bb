"""Values cross as plain arrays; a file that is anything else ends in a failed finding, never in an exception."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch

from nvpkit import checks
from nvpkit.checks import channel, grading
from tests.checks.corpus_cells import CORPUS, objects

TASK = "scaling"
SEEDS = [5]


@pytest.fixture(scope="module")
def honest():
    return grading._run(checks.TASKS[TASK], objects(CORPUS / "right" / "mask_multiply" / "scaling.py"), SEEDS[0], True)


def judged(path):
    verdict = checks.judge_values(TASK, SEEDS, path)
    assert verdict.score == 0
    assert verdict.max_score == 7
    assert any(not finding.ok and finding.message for finding in verdict.findings)
    return " ".join(finding.message for finding in verdict.findings if not finding.ok)


def member(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_what_is_written_is_read(tmp_path):
    outputs = {"part/a": torch.arange(6.0, dtype=torch.float64).reshape(2, 3).T, "none": torch.zeros(0, 3),
               "b": torch.tensor([True, False]), "n": 3, "text": "möglich", "scalar": torch.tensor(2.5)}
    channel.write(tmp_path / "v.npz", {7: outputs, 8: {}})
    back = channel.read(tmp_path / "v.npz")[7]
    assert torch.equal(back["part/a"], outputs["part/a"])
    assert back["part/a"].dtype == torch.float64
    assert back["none"].shape == (0, 3)
    assert back["b"].dtype == torch.bool
    assert back["n"].item() == 3
    assert back["text"] == "möglich"
    assert back["scalar"].shape == ()
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_bfloat16_becomes_a_text_that_no_judge_takes_for_numbers():
    assert isinstance(channel.unpack(channel.pack({"z": torch.ones(2, dtype=torch.bfloat16)}))["z"], str)


def test_honest_values_pass(tmp_path, honest):
    channel.write(tmp_path / "v.npz", {SEEDS[0]: honest})
    assert checks.judge_values(TASK, SEEDS, tmp_path / "v.npz").score == 7


def test_missing_file(tmp_path):
    assert "did not run" in judged(tmp_path / "no.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive" * 50, b"\x00" * 4000], ids=len)
def test_not_an_archive(tmp_path, content):
    path = tmp_path / "v.npz"
    path.write_bytes(content)
    assert "damaged" in judged(path)


def test_truncated_at_every_tenth(tmp_path, honest):
    channel.write(tmp_path / "v.npz", {SEEDS[0]: honest})
    whole = (tmp_path / "v.npz").read_bytes()
    for tenth in range(1, 10):
        (tmp_path / "cut.npz").write_bytes(whole[: len(whole) * tenth // 10])
        assert judged(tmp_path / "cut.npz")


def test_folder_link_and_pipe_in_place_of_the_file(tmp_path, honest):
    channel.write(tmp_path / "v.npz", {SEEDS[0]: honest})
    (tmp_path / "link.npz").symlink_to(tmp_path / "v.npz")
    assert judged(tmp_path / "link.npz")
    (tmp_path / "folder.npz").mkdir()
    assert judged(tmp_path / "folder.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    assert judged(tmp_path / "pipe.npz")


def test_pickled_object_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    content = member(np.array([Trap()], dtype=object), allow_pickle=True)
    judged(archive(tmp_path / "v.npz", {f"{SEEDS[0]}/odd.z.npy": content}))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("shape", ["(10000000000,)", "(100000, 100000)", "(-4,)", "(2,)", "(" + "1, " * 200 + ")"])
def test_claimed_shape_must_fit_the_bytes(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(118 if len(header) < 118 else len(header)) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\x00" * 24
    judged(archive(tmp_path / "v.npz", {f"{SEEDS[0]}/odd.z.npy": content}))


def test_compressed_bomb_is_not_unpacked(tmp_path):
    content = member(np.zeros(30_000_000, dtype=np.uint8))
    path = archive(tmp_path / "v.npz", {f"{SEEDS[0]}/odd.z.npy": content}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "too large" in judged(path) or "compressed" in judged(path)


def test_too_many_members_and_strange_names(tmp_path):
    one = member(np.zeros(1))
    assert judged(archive(tmp_path / "a.npz", {f"{SEEDS[0]}/{number}.npy": one for number in range(5000)}))
    for name in ("../../etc/x.npy", "5", "five/x.npy", "/x.npy", "5/x.txt"):
        assert judged(archive(tmp_path / "b.npz", {name: one}))


@pytest.mark.parametrize("spoil", [
    lambda value: torch.full_like(value, float("nan")),
    lambda value: torch.full_like(value, float("inf")),
    lambda value: value[..., None],
    lambda value: value.flatten()[:1],
    lambda value: value.float(),
    lambda value: "a text",
    lambda value: 1.0,
    lambda value: torch.zeros(0),
    lambda value: (value * 100).long(),
], ids=["nan", "inf", "axis", "short", "dtype", "text", "number", "empty", "integers"])
def test_each_spoiled_value_fails(tmp_path, honest, spoil):
    for name in ("odd.z", "single.x_at_y", "odd.z.log_det", "odd.around", "odd.grad_log_det", "odd.s_start",
                 "single.x.kept"):
        channel.write(tmp_path / "v.npz", {SEEDS[0]: {**honest, name: spoil(honest[name])}})
        assert judged(tmp_path / "v.npz")


def test_each_missing_value_and_seed_fails(tmp_path, honest):
    for name in honest:
        if name.endswith((".again", ".again.log_det", ".around.log_det", ".back.log_det", ".forth.log_det")):
            continue  # written down, judged nowhere: the same values are judged under other names
        if name.startswith("float32.around"):
            continue  # differences are taken in float64 alone
        channel.write(tmp_path / "v.npz", {SEEDS[0]: {key: value for key, value in honest.items() if key != name}})
        assert judged(tmp_path / "v.npz"), name
    channel.write(tmp_path / "v.npz", {SEEDS[0] + 1: honest})
    assert "did not arrive" in judged(tmp_path / "v.npz")


def test_texts_from_outside_are_printable_and_short(tmp_path):
    channel.write(tmp_path / "v.npz", {SEEDS[0]: {"error": "\x1b[31m" + "x" * 100_000}})
    text = judged(tmp_path / "v.npz")
    assert "\x1b" not in text
    assert len(text) < 1000


def test_every_task_survives_random_values(tmp_path):
    gen = torch.Generator().manual_seed(0)
    for task, spec in checks.TASKS.items():
        cases = spec.module.inputs(3)["cases"]
        names = [f"{case['name']}.{key}" for case in cases for key in ("z", "losses", "filled")]
        for shape in ((), (0,), (3,), (2, 2), (1, 1, 1)):
            channel.write(tmp_path / "v.npz", {3: {name: torch.randn(shape, generator=gen) for name in names}})
            assert checks.judge_values(task, [3], tmp_path / "v.npz").score == 0
