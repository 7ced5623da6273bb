"""How near flows come to known densities: KL(true || model) in nats, mean over seeds, within given CPU seconds.

    python -m benchmarks.fit --json [--row moons] [--seeds 0-9]

Every fit runs on one thread, on 200,000 given samples. Each seed's result goes to _build/benchmarks/fit.jsonl at once:
a stopped run goes on from there, --fresh forgets it. A line for each row is printed with --json, the table goes to
_build/benchmarks/fit.md. `--record` writes the rows to benchmarks/results/fit.json, which README and book show. Rows
of images are those of benchmarks/fit_images.py, run only where --row names them.
"""

import argparse
import json
import math
import os
import subprocess
import sys

import torch

from benchmarks import fit_images, record
from nvpkit.data import checkerboard, eight_gaussians, moons, rings
from nvpkit.distributions import random_gaussian_mixture
from nvpkit.files import write_atomically
from nvpkit.metrics import kl_to, round_trip_error
from nvpkit.models import real_nvp
from nvpkit.training import fit

SEEDS, TABLE, FINAL = record.BUILD / "fit.jsonl", record.BUILD / "fit.md", record.RESULTS / "fit.json"
GIVEN, FRESH = 200_000, 50_000  # samples to fit, samples to judge
FIT = {"steps": 6000, "batch_size": 512}  # all else is fit's and real_nvp's default
IN_8D = {"n_layers": 20, "hidden": (64, 64)}, {"steps": 7000, "batch_size": 512}


def mixture(dim, n_components):
    """Return seed -> a random mixture of its own."""
    return lambda seed: random_gaussian_mixture(dim, n_components, generator(1000 + seed))


# name: (what, target of a seed, goal for the KL, goal for the CPU seconds, settings of real_nvp, settings of fit)
ROWS = {
    "moons": ("two moons, sigma .1", lambda seed: moons(0.1), 0.005, 60, {}, FIT),
    "mixtures-4": ("random 2-D mixtures, K=4", mixture(2, 4), 0.005, 60, {}, FIT),
    "mixtures-8": ("random 2-D mixtures, K=8", mixture(2, 8), 0.005, 60, {}, FIT),
    "eight": ("8 Gaussians, radius 4, sigma .5", lambda seed: eight_gaussians(4.0, 0.5), 0.015, 60, {}, FIT),
    "checkerboard": ("checkerboard", lambda seed: checkerboard(), 0.04, 60, {}, FIT),
    "rings": ("4 rings, sigma .05", lambda seed: rings(), 0.10, 60, {}, FIT),
    "mixtures-8d": ("random 8-D mixtures, K=8", mixture(8, 8), 0.05, 120, *IN_8D),
}


def generator(seed):
    """Return a generator of random numbers with that seed."""
    return torch.Generator().manual_seed(seed)


def one_seed(name, seed):
    """Fit once and return what came of it."""
    what, target_of, _, _, model, settings = ROWS[name]
    torch.set_num_threads(1)
    target = target_of(seed)
    x = target.sample(GIVEN, generator(seed))
    with record.stopwatch() as taken:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            flow = real_nvp(x.shape[1], **model)
        fit(flow, x, seed=seed, progress=False, **settings)
    value, error = kl_to(flow, target, FRESH, generator(10_000 + seed))
    trip = round_trip_error(flow, target.sample(1000, generator(20_000 + seed)))
    about = {"name": name, "seed": seed, "round_trip": trip, "model": model, "fit": settings}
    return record.row(what, value, standard_error=error, **taken, **about)


def summary(name, seeds):
    """Return one row for all seeds of a name: the mean, its standard error over seeds, the largest costs."""
    what, _, goal, limit, model, settings = ROWS[name]
    values = torch.tensor([row["value"] for row in seeds], dtype=torch.float64)
    spread = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    worst = {key: max(row[key] for row in seeds) for key in ("cpu_seconds", "wall_seconds", "round_trip")}
    first = {key: seeds[0][key] for key in ("hardware", "versions")}
    return {
        "what": f"KL, {what}",
        "value": values.mean().item(),
        "standard_error": spread,
        "goal": f"at most {goal:g} within {limit} CPU seconds",
        **worst,
        "mean_cpu_seconds": round(sum(row["cpu_seconds"] for row in seeds) / len(seeds), 2),
        "peak_memory_mib": max(row["peak_memory_mib"] for row in seeds),
        "name": name,
        "seeds": [row["seed"] for row in seeds],
        "values": [round(value, 5) for value in values.tolist()],
        "model": model,
        "fit": settings,
        **first,
        "date": max(row["date"] for row in seeds),
    }


def table(rows):
    """Return the rows as a Markdown table."""
    lines = ["| what | nats | goal | seeds | CPU s, mean (largest) | wall s | MiB | round trip |", "|" + " --- |" * 8]
    for row in rows:
        error = "" if row["standard_error"] is None else f" ± {row['standard_error']:.4f}"
        cpu = f"{row['mean_cpu_seconds']:.0f} ({row['cpu_seconds']:.0f})"
        cells = [row["what"], f"{row['value']:.4f}{error}", row["goal"], len(row["seeds"]), cpu]
        cells += [f"{row['wall_seconds']:.0f}", row["peak_memory_mib"], f"{row['round_trip']:.1e}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    last = rows[-1]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    return "\n".join([*lines, "", f"{last['hardware']}; {versions}; {last['date']}", ""])


def collected(wanted):
    """Return the summaries of the names that have results for some of the wanted seeds."""
    rows = []
    for name in ROWS:
        done = {row["seed"]: row for row in record.read(SEEDS) if row["name"] == name and row["seed"] in wanted}
        if done:
            rows.append(summary(name, [done[seed] for seed in sorted(done)]))
    return rows


def seeds_of(text):
    """Turn "0-9" or "3" into a list of seeds."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main():
    """Run what is missing, seed by seed over all rows, then print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print a JSON line for each row")
    parser.add_argument("--row", choices=[*ROWS, *fit_images.ROWS], help="only this row")
    parser.add_argument("--seeds", type=seeds_of, default=list(range(10)), help="such as 0-9")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs measured")
    parser.add_argument("--record", action="store_true", help=f"write the rows to {FINAL.name} in benchmarks/results")
    parser.add_argument("--collect", action="store_true", help="run nothing: take the seeds that are there")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one seed, in this process
    arguments = parser.parse_args()
    if arguments.row in fit_images.ROWS:
        command = [sys.executable, "-m", "benchmarks.fit_images", "--row", arguments.row]
        subprocess.run(command + ["--json"] * arguments.json, check=True)
        return
    names = [arguments.row] if arguments.row else list(ROWS)
    if arguments.here:
        record.append(SEEDS, one_seed(names[0], arguments.seeds[0]))
        return
    if arguments.fresh:
        SEEDS.unlink(missing_ok=True)
    done = {(row["name"], row["seed"]) for row in record.read(SEEDS)}
    for seed in [] if arguments.collect else arguments.seeds:
        for name in names:
            if (name, seed) not in done:
                # A process of its own, so that peak memory is this row's; on one thread from the start.
                command = [sys.executable, "-m", "benchmarks.fit", "--here", "--row", name, "--seeds", str(seed)]
                subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    rows = collected(arguments.seeds)
    write_atomically(TABLE, lambda partial: partial.write_text(table(rows), encoding="utf-8"))
    if arguments.record:
        FINAL.parent.mkdir(exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(FINAL, lambda partial: partial.write_text(text, encoding="utf-8"))
    for row in rows:
        if arguments.json and row["name"] in names:
            print(json.dumps(row), flush=True)
    if not arguments.json:
        print(table(rows), f"written to {TABLE}", sep="\n")


if __name__ == "__main__":
    main()
