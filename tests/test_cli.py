"""The commands, run as a person runs them: what they print, what they write, and one sentence for each error."""

import json
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from nvpkit import models
from nvpkit.checkpoints import load_flow, save_flow
from nvpkit.cli import app
from nvpkit.data import images


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failed(*arguments):
    """The sentence on stderr of a command that must fail without a traceback."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A short training on digits, shared by the tests that look at its results."""
    folder = tmp_path_factory.mktemp("runs") / "nice-digits"
    result = run("train", "--model", "nice", "--data", "digits", "--out", folder, "--quick", "--hidden", 32, "--json")
    assert result.exit_code == 0, result.output
    return folder, result


def test_train_prints_figures_and_saves_a_flow(digits):
    folder, result = digits
    figures = json.loads(result.stdout)
    assert figures["data"] == "digits"
    assert figures["steps"] == 200
    assert figures["test_size"] == 360
    # The identity has 4.67; 2.2 would be better than any NICE can be in 200 steps.
    assert 2.2 < figures["bits_per_dim"] < 4.0
    assert figures["bits_per_dim"] == pytest.approx(figures["nll_nats"] / 64 / 0.6931472, rel=1e-4)
    assert figures["round_trip_error"] < 1e-5
    assert figures["log_det_error"] < 1e-4
    flow, description = load_flow(folder)
    assert description["figures"]["bits_per_dim"] == figures["bits_per_dim"]
    assert description["shape"] == [1, 8, 8]
    test = images("digits", "test")[0].flatten(1)
    assert -flow.log_prob(test).mean().item() == pytest.approx(figures["nll_nats"], abs=0.5)


def test_images_are_trained_as_images_and_toys_by_real_nvp(tmp_path):
    folder = tmp_path / "images"
    settings = ("--steps", 20, "--hidden", 4, "--blocks", 1, "--average", 0.9, "--patience", 3, "--batch-size", 32)
    result = run("train", "--model", "image_real_nvp", "--data", "digits", "--out", folder, *settings, "--json")
    figures = json.loads(result.stdout)
    assert 1.9 < figures["bits_per_dim"] < 5
    assert figures["round_trip_error"] < 1e-4
    assert figures["log_det_error"] < 1e-3
    assert figures["average"] == 0.9
    flow, description = load_flow(folder)
    assert (flow.event_shape, flow.levels, description["settings"]["hidden"]) == ((1, 8, 8), 17, 4)
    bound = json.loads(run("evaluate", folder, "--draws", 4, "--json").stdout)
    assert bound["bits_per_dim"] == pytest.approx(figures["bits_per_dim"], abs=1e-6)
    # More draws never loosen the bound; with the same noise for one draw it would lie strictly below.
    assert bound["bits_per_dim_4_draws"] < bound["bits_per_dim"]
    assert run("sample", folder, "--n", 4, "--out", tmp_path / "a.png").exit_code == 0

    toy = tmp_path / "toy"
    settings = ("--steps", 30, "--hidden", 8, "--json")
    result = run("train", "--model", "real_nvp", "--data", "moons", "--out", toy, *settings)
    assert json.loads(result.stdout)["kl_nats"] < 2
    assert "images alone" in failed("evaluate", toy, "--draws", 4)


def test_evaluate_gives_the_same_figures_again(digits):
    folder, result = digits
    trained = json.loads(result.stdout)
    again = json.loads(run("evaluate", folder, "--data", "digits", "--json").stdout)
    for key in ("bits_per_dim", "nll_nats", "round_trip_error"):
        assert again[key] == pytest.approx(trained[key], abs=1e-6)
    text = run("evaluate", folder / "model.pt")
    assert text.exit_code == 0
    assert f"bits per dim         {trained['bits_per_dim']:.4g}" in text.stdout
    assert "round trip error" in text.stdout


def test_sample_writes_a_picture(digits, tmp_path):
    from matplotlib.image import imread

    folder, _ = digits
    path = tmp_path / "new/samples.png"
    result = run("sample", folder, "--n", 9, "--out", path)
    assert result.exit_code == 0, result.output
    assert str(path) in result.stdout
    first = imread(path)
    assert first.std() > 0.1
    run("sample", folder, "--n", 9, "--out", path)
    assert (imread(path) == first).all()
    run("sample", folder, "--n", 9, "--out", path, "--seed", 1)
    assert not (imread(path) == first).all()


def test_toys_are_trained_and_judged_by_their_kl(tmp_path):
    folder = tmp_path / "parabola"
    settings = ("--steps", 400, "--lr", 0.01, "--hidden", "32,32", "--layers", 4, "--batch-size", 256, "--seed", 1)
    result = run("train", "--data", "parabola", "--out", folder, *settings, "--json")
    figures = json.loads(result.stdout)
    assert -0.01 < figures["kl_nats"] < 0.05
    assert (figures["steps"], figures["batch_size"], figures["seed"]) == (400, 256, 1)
    assert run("sample", folder, "--out", tmp_path / "toy.png").exit_code == 0
    flow, description = load_flow(folder)
    assert description["settings"]["hidden"] == [32, 32]
    assert sum(p.numel() for p in flow.parameters()) == sum(
        p.numel() for p in models.nice(2, hidden=(32, 32)).parameters()
    )


def test_train_repeats_itself_and_resumes(tmp_path):
    arguments = ("train", "--data", "moons", "--steps", 20, "--hidden", 8, "--json", "--out")
    first, second = (json.loads(run(*arguments, tmp_path / name).stdout) for name in "ab")
    assert first["kl_nats"] == second["kl_nats"]
    resumed = json.loads(run(*arguments, tmp_path / "a", "--resume").stdout)
    assert resumed["kl_nats"] == first["kl_nats"]
    assert "other settings" in failed(*arguments, tmp_path / "a", "--resume", "--seed", 5)


def test_train_writes_beside_runs_and_shows_progress(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("train", "--data", "moons", "--steps", 20, "--hidden", 8)
    assert result.exit_code == 0
    assert (tmp_path / "runs/nice-moons/model.pt").exists()
    assert "20/20" in result.stdout
    assert "kl nats" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "--data", "digit"], ["no data called 'digit'", "digits, mnist"]),
        (["train", "--model", "glow"], ["no model called 'glow'", "nice"]),
        (["train", "--hidden", "a,b"], ["--hidden expects", "'a,b'"]),
        (["train", "--steps", "0"], ["must be positive"]),
        (["train", "--layers", "0"], ["n_layers"]),
        (["train", "--average", "2"], ["decay between 0 and 1"]),
        (["train", "--data", "moons", "--device", "gpu"], ['"cpu" or "cuda"', "'gpu'"]),
        (["train", "--norm", "actnorm"], ["nice has no setting 'norm'", "hidden"]),
        (["train", "--model", "image_real_nvp", "--layers", "4"], ["no setting 'n_layers'", "n_blocks"]),
        (["train", "--model", "image_real_nvp", "--hidden", "8,8"], ["one width"]),
        (["train", "--model", "image_real_nvp", "--plan", "mine"], ["paper, squeeze_first"]),
        (["train", "--model", "image_real_nvp", "--data", "moons"], ["is for images", "real_nvp"]),
        (["train", "--quick", "--data", "moons", "--lr", "1e30", "--json"], ["lower lr"]),
        (["evaluate", "nowhere"], ["nowhere/model.json is not there", "nvpkit train"]),
        (["sample", "nowhere"], ["nowhere/model.json is not there"]),
        (["data", "download", "minst"], ["no data set called 'minst'"]),
    ],
)
def test_errors_are_one_sentence(arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = failed(*arguments)
    for part in parts:
        assert part in said


def test_an_interrupted_training_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("nvpkit.experiments.fit", interrupted)
    result = run("train", "--data", "moons", "--out", tmp_path)
    assert result.exit_code == 130
    assert "--resume" in result.stderr


def test_a_missing_data_set_names_folders_and_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("NVPKIT_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    said = failed("train", "--data", "mnist", "--out", tmp_path / "out")
    for part in ("mnist", str(tmp_path / "none"), "nvpkit data download mnist", "digits"):
        assert part in said
    listed = run("data", "list").stdout
    assert "missing: nvpkit data download mnist" in listed
    assert str(tmp_path / "none") in listed
    table = {row["name"]: row for row in json.loads(run("data", "list", "--json").stdout)["sets"]}
    assert table["digits"]["available"]
    assert not table["mnist"]["available"]
    assert (table["digits"]["levels"], table["cifar10"]["shape"]) == (17, [3, 32, 32])


def test_wrong_data_damage_and_bad_paths_are_named(digits, tmp_path):
    folder, _ = digits
    assert "made for digits" in failed("evaluate", folder, "--data", "moons")
    assert "xyz" in failed("sample", folder, "--out", tmp_path / "a.xyz")
    assert "number of samples" in failed("sample", folder, "--n", 0, "--out", tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    assert "file" in failed("train", "--data", "moons", "--quick", "--out", tmp_path / "file")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("model.json", "model.pt"):
        (broken / name).write_bytes((folder / name).read_bytes()[:100])
    assert "broken/model.json" in failed("evaluate", broken)


def test_a_flow_saved_by_hand_is_evaluated_where_its_data_are_named(tmp_path):
    save_flow(tmp_path, models.nice(2))
    assert "--data" in failed("evaluate", tmp_path)
    assert run("evaluate", tmp_path, "--data", "moons").exit_code == 0


def test_download_says_where_the_files_are(tmp_path, monkeypatch):
    assert "installed with the package" in run("data", "download", "digits").stdout
    monkeypatch.setattr("nvpkit.data.download", lambda name, root: root)
    assert f"usps is in {tmp_path}" in run("data", "download", "usps", "--root", tmp_path).stdout


def test_help_names_every_command_and_option():
    for command, words in {
        (): ("train", "sample", "evaluate", "data", "course"),
        ("train",): (
            *("--model", "--data", "--steps", "--lr", "--batch-size", "--hidden", "--layers", "--seed", "--out"),
            *("--average", "--patience", "--blocks", "--norm", "--plan", "--variational", "--compile", "--device"),
            *("--quick", "--resume", "--bf16", "--json"),
        ),
        ("sample",): ("CHECKPOINT", "--n", "--out", "--temperature"),
        ("evaluate",): ("CHECKPOINT", "--data", "--draws"),
        ("data",): ("list", "download"),
        ("course",): ("release", "collect", "grade", "feedback", "report", "export"),
    }.items():
        result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        for word in words:
            assert word in result.stdout, (command, word)


def test_help_waits_for_no_heavy_import():
    script = (
        "import sys, nvpkit.cli; "
        "print([name for name in ('torch', 'matplotlib', 'sklearn', 'numpy', 'nbgrader') if name in sys.modules])"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert time.perf_counter() - started < 10


def test_the_global_random_state_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    run("train", "--data", "moons", "--steps", 5, "--hidden", 8, "--out", tmp_path / "a", "--json")
    assert torch.equal(torch.get_rng_state(), before)
