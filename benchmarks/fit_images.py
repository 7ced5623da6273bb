"""How well flows fit images: digits and MNIST within given CPU seconds, and two rows that want a GPU.

    python -m benchmarks.fit_images --json                       every row that this machine can run
    python -m benchmarks.fit_images --json --row mnist_180 --seed 1
    python -m benchmarks.fit_images --json --row gpu_mnist --minutes 9 --resume     again, until it prints the row

A row's seconds run from building the flow to the last step of its training, over all commands that it took. MNIST is
read from $NVPKIT_DATA. What a stopped row needs to go on lies in _build/benchmarks, finished rows in its results file.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import record
from nvpkit import models, viz
from nvpkit.data import images, levels
from nvpkit.experiments.defaults import squeezing
from nvpkit.files import write_atomically
from nvpkit.metrics import bits_per_dim, importance_weighted_log_prob, round_trip_error
from nvpkit.metrics.evaluation import mean_and_error
from nvpkit.training import fit

FINAL = record.RESULTS / "fit_images.json"
# What a row over several seeds takes as a mean, and what as the largest.
MEANS = ("value", "standard_error", "bits_per_dim", "importance_weighted_bits_16_draws")
LARGEST = ("cpu_seconds", "wall_seconds", "peak_memory_mib", "round_trip_1000_test_images")
CPU_GOAL, GPU_ONLY = "at most {} bits/dim within {} CPU seconds", "no GPU here: run this row where there is one"
# Convolutions at half the side, small nets, learned noise: many steps in few seconds. MNIST gets equalised pixels too.
# Written out, not taken from nvpkit's defaults: a recorded row must not change when they do.
FAST = {
    "hidden": 32,
    "n_blocks": 1,
    "kernels": (3, 1),
    "skips": False,
    "norm": "pixel_actnorm",
    "variational": {"width": 16, "n_couplings": 2},
}
EQUALIZED = {"equalize": 0.9, "alpha": 1e-5}
ROWS = {
    "digits": {
        "what": "digits 8x8, test bits/dim",
        "goal": CPU_GOAL.format("2.00", 20),
        "data": "digits",
        "model": "image_real_nvp",
        "settings": {**FAST, "plan": squeezing((4, 2), (2, 2))},
        "fit": {"steps": 370, "lr": 7e-3, "batch_size": 64, "average": 0.998},
    },
    "mnist_180": {
        "what": "MNIST, test bits/dim",
        "goal": CPU_GOAL.format("1.60", 180),
        "data": "mnist",
        "model": "image_real_nvp",
        "settings": {**FAST, **EQUALIZED, "plan": squeezing((8, 0), (2, 2))},
        "fit": {"steps": 1650, "lr": 5e-3, "batch_size": 32, "average": 0.998, "bf16": True},
    },
    "mnist_900": {
        "what": "MNIST, test bits/dim",
        "goal": CPU_GOAL.format("1.40", 900),
        "data": "mnist",
        "model": "image_real_nvp",
        "settings": {**FAST, **EQUALIZED, "plan": squeezing((8, 0), (2, 2))},
        "fit": {"steps": 7500, "lr": 5e-3, "batch_size": 32, "average": 0.999, "bf16": True},
    },
    "gpu_mnist": {
        "what": "MNIST, test bits/dim, GPU",
        "goal": "1.00 bits/dim within 20 minutes of one H200",
        "data": "mnist",
        "model": "image_real_nvp",
        "settings": {
            **FAST,
            **EQUALIZED,
            "hidden": 96,
            "n_blocks": 2,
            "kernels": (3, 3),
            "variational": {"width": 32, "n_couplings": 4},
            "plan": squeezing((12, 0), (4, 4)),
        },
        "fit": {"steps": 25_000, "lr": 2e-3, "batch_size": 256, "average": 0.9995, "bf16": True},
        "held_out": 2000,
        "validate_every": 1000,
        "gpu": True,
    },
    "gpu_nice": {
        "what": "NICE, MNIST, test log-likelihood on [0, 1] in nats, GPU",
        "goal": "above 1980.5 nats (paper)",
        "data": "mnist",
        "model": "nice",
        "settings": {"n_layers": 4, "hidden": (1000,) * 5, "base": "logistic", "split": "even_odd"},
        "fit": {"steps": 140_000, "lr": 1e-3, "batch_size": 256, "average": 0.9999},
        "held_out": 5000,
        "validate_every": 2344,
        "gpu": True,
    },
}


def main():
    """Run the rows that the command line names; without --row each one in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON lines, not sentences")
    parser.add_argument("--minutes", type=float, help="pause after so many minutes of training")
    parser.add_argument("--resume", action="store_true", help="go on with what a paused command left")
    parser.add_argument("--steps", type=int, help="try a row out, on any machine: so many steps, 100 test images")
    parser.add_argument("--samples", type=Path, help="write a picture of 64 samples to this file")
    parser.add_argument("--results", type=Path, default=record.BUILD / "fit_images.json", help="file of finished rows")
    parser.add_argument("--record", action="store_true", help="run nothing: write finished rows for README and book")
    chosen = parser.parse_args()
    if chosen.record:
        lines = "".join(json.dumps(row) + "\n" for row in summaries(record.read(chosen.results)))
        write_atomically(FINAL, lambda partial: Path(partial).write_text(lines, encoding="utf-8"))
        return
    if chosen.row is None:
        for name in ROWS:
            subprocess.run([sys.executable, "-m", "benchmarks.fit_images", "--row", name, *sys.argv[1:]], check=True)
        return
    new = run(chosen.row, chosen.seed, chosen.minutes, chosen.resume, chosen.steps, chosen.samples)
    if new["value"] is not None and chosen.steps is None:
        record.append(chosen.results, new)
    print(json.dumps(new) if chosen.json else f"{new['what']}: {new['value']} ({new['goal']})", flush=True)


def run(name, seed=0, minutes=None, resume=False, steps=None, samples=None):
    """Train and measure one row. Its value is None where there is no GPU, or where the time was up: then resume."""
    chosen = ROWS[name]
    what, goal = chosen["what"], chosen["goal"]
    wants_gpu, has_gpu = chosen.get("gpu", False), torch.cuda.is_available()
    if wants_gpu and not has_gpu and steps is None:
        return record.row(what, None, goal=goal, name=name, note=GPU_ONLY)
    if not wants_gpu:
        torch.set_num_threads(1)
    device = "cuda" if wants_gpu and has_gpu else "cpu"
    settings, training, validation, test = _prepared(chosen)
    fit_settings = dict(chosen["fit"])
    if steps is not None:
        fit_settings["steps"], test = steps, test[:100]
    checkpoint = record.BUILD / "fit_images" / f"{name}-{seed}.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    spent_file = checkpoint.with_suffix(".json")
    spent = {"cpu_seconds": 0.0, "wall_seconds": 0.0}
    if resume and checkpoint.exists() and spent_file.exists():
        spent = json.loads(spent_file.read_text(encoding="utf-8"))
    pausable = {}
    if minutes is not None or resume:
        pausable = {"checkpoint": checkpoint, "resume": resume, "max_seconds": minutes and 60 * minutes}
    if validation is not None:
        pausable |= {"validation": validation, "validate_every": min(chosen["validate_every"], fit_settings["steps"])}
    with record.stopwatch() as taken:
        torch.manual_seed(seed)
        flow = getattr(models, chosen["model"])(levels=levels(chosen["data"]), **settings).to(device)
        flow.initialise(training[:2000].to(device))
        history = fit(flow, training, seed=seed, device=device, progress=False, **fit_settings, **pausable)
    spent = {key: spent[key] + taken[key] for key in spent}
    if pausable.get("checkpoint"):
        write_atomically(spent_file, lambda partial: Path(partial).write_text(json.dumps(spent), encoding="utf-8"))
    about = {"goal": goal, **spent, "name": name, "seed": seed, "steps": len(history.loss)}
    if history.ended == "time":
        return record.row(what, None, **about, note=f"paused at step {len(history.loss)}: --resume goes on")
    value, error, more = _measured(flow, test, seed, in_nats=chosen["model"] == "nice")
    if has_gpu:
        more["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    if samples is not None:
        _picture(flow.cpu(), seed, levels(chosen["data"]) - 1, samples)
    return record.row(what, value, standard_error=error, **about, best_step=history.best_step, **more)


def summaries(finished):
    """Return a row for each name: means over its seeds, the largest costs; a null row where none was finished.

    The standard error is that of the test images. All seeds see the same ones, so more seeds do not lower it.
    """
    rows = []
    for name, chosen in ROWS.items():
        seeds = list({row["seed"]: row for row in finished if row["name"] == name}.values())
        if not seeds:
            note = GPU_ONLY if chosen.get("gpu") else "not run yet"
            rows.append(record.row(chosen["what"], None, goal=chosen["goal"], name=name, note=note))
            continue
        means = {key: sum(row[key] for row in seeds) / len(seeds) for key in (*MEANS, "cpu_seconds")}
        rows.append(
            {
                **{key: value for key, value in seeds[0].items() if key != "seed"},
                **{key: max(row[key] for row in seeds) for key in LARGEST},
                **{key: means[key] for key in MEANS},
                "mean_cpu_seconds": round(means["cpu_seconds"], 2),
                "seeds": [row["seed"] for row in seeds],
                "values": [round(row["value"], 4) for row in seeds],
                "settings": chosen["settings"],
                "fit": chosen["fit"],
            }
        )
    return rows


def _prepared(chosen):
    """Return (settings of the model, training, validation or None, test data); NICE sees vectors."""
    training, test = images(chosen["data"], "train")[0], images(chosen["data"], "test")[0]
    settings = {**chosen["settings"], "shape": tuple(training.shape[1:])}
    if chosen["model"] == "nice":
        training, test = training.flatten(1), test.flatten(1)
        settings = {**chosen["settings"], "dim": training.shape[1]}
    held_out = chosen.get("held_out", 0)
    if not held_out:
        return settings, training, None, test
    # The order of the files is not random: which images are held out is, and is the same for every seed.
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))
    return settings, training[order[held_out:]], training[order[:held_out]], test


@torch.no_grad()
def _measured(flow, test, seed, in_nats):
    """Return (value, standard error, more figures) on the test images, with one draw of the noise for each."""
    torch.manual_seed(seed)
    dims, device = math.prod(test.shape[1:]), next(flow.parameters()).device
    log_prob = torch.cat([flow.log_prob(part.to(device)).cpu() for part in test.split(500)]).double()
    bits, bits_error = mean_and_error(bits_per_dim(log_prob, dims))
    bound = importance_weighted_log_prob(flow, test[:500], 16).mean().item()
    more = {
        "bits_per_dim": bits,
        "importance_weighted_bits_16_draws": bits_per_dim(bound, dims),
        "round_trip_1000_test_images": round_trip_error(flow, test[:1000].to(device), continuous=True),
        "parameters": sum(p.numel() for p in flow.parameters()),
        "test_images": len(test),
    }
    if in_nats:
        nats, error = mean_and_error(log_prob + dims * math.log(256))
        return nats, error, more
    return bits, bits_error, more


def _picture(flow, seed, high, path):
    drawn = flow.sample(64, generator=torch.Generator().manual_seed(seed))
    side = math.isqrt(drawn[0].numel())
    path.parent.mkdir(parents=True, exist_ok=True)
    viz.image_grid(drawn.reshape(64, 1, side, side), n_columns=8, high=high).figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
