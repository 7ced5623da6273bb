"""Experiments: what is held out stays out, and the test split is read only for the figures."""

import pytest
import torch

from nvpkit import experiments, models
from nvpkit.data import images


def test_a_tenth_is_held_out_for_validation_and_nothing_is_lost():
    train, validation, shape = experiments._training_data("digits", seed=3)
    assert shape == (1, 8, 8)
    assert (len(train), len(validation)) == (1294, 143)
    together = torch.cat([train, validation])
    everything = images("digits", "train")[0].flatten(1)
    assert sorted(together.tolist()) == sorted(everything.tolist())
    other, _, _ = experiments._training_data("digits", seed=4)
    assert not torch.equal(other, train)


def test_training_never_reads_the_test_split(tmp_path, monkeypatch):
    seen = []

    def spy(name, split, **settings):
        seen.append(split)
        return images(name, split, **settings)

    def fit(*arguments, **settings):
        assert "test" not in seen
        raise StopIteration

    monkeypatch.setattr(experiments, "images", spy)
    monkeypatch.setattr(experiments, "fit", fit)
    with pytest.raises(StopIteration):
        experiments.train("nice", "digits", tmp_path, quick=True)
    assert seen == ["train"]


def test_figures_carry_their_standard_error(tmp_path):
    figures = experiments.train("nice", "digits", tmp_path, steps=10, hidden=(8,), progress=False)
    assert 0.005 < figures["bits_standard_error"] < 0.1
    # The scaling is set from the data, so ten steps are far from the identity's 4.67.
    assert 2.5 < figures["bits_per_dim"] < 4.3
    assert (tmp_path / "training.pt").exists()


def test_the_seed_decides(tmp_path):
    settings = {"steps": 5, "hidden": (8,), "progress": False}
    one, same, other = (
        experiments.train("nice", "moons", tmp_path / str(i), seed=seed, **settings)["kl_nats"]
        for i, seed in enumerate((0, 0, 1))
    )
    assert one == same != other


@pytest.mark.parametrize("model", list(experiments.DEFAULTS))
def test_the_defaults_are_settings_that_exist(model):
    for data, kind in (("moons", "toy"), ("digits", "digits"), ("mnist", "images"), ("cifar10", "images")):
        if kind not in experiments.DEFAULTS[model]:
            continue
        choice, settings = experiments._choices(model, data, False, {"steps": 7, "lr": None})
        assert choice["steps"] == 7
        assert set(choice) <= experiments.OF_FIT
        size = {"shape": experiments._shape(data)} if model == "image_real_nvp" else {"dim": 4}
        flow = getattr(models, model)(**size, levels=None if kind == "toy" else 17, **settings)
        assert sum(p.numel() for p in flow.parameters()) > 1000
        assert experiments._choices(model, data, True, {})[0]["steps"] == experiments.QUICK_STEPS
    assert set(experiments.DEFAULTS) <= set(models.__all__)


def test_images_stay_images_for_the_image_model():
    train, validation, shape = experiments._training_data("digits", seed=0, flat=False)
    assert (train.shape[1:], validation.shape[1:], shape) == ((1, 8, 8), (1, 8, 8), (1, 8, 8))
