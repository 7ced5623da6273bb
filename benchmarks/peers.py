"""Measure nvpkit against its peers: the same flow, the same number of parameters, the same optimiser, in one run.

    python -m benchmarks.peers [--json] [--rows NAME ...] [--seconds 20] [--fresh] [--record]

Each row runs in a process of its own, so that its peak memory is its own, on one thread. Calls of the libraries take
turns, so that a busy machine slows all alike, and a row's value is a median of ratios: how many times as long the best
peer takes as nvpkit. On a CPU the clock is the thread's CPU time, which other programs do not count in. Rows already
measured are read from _build/benchmarks/peers.jsonl: a stopped run goes on where it stopped, --fresh measures anew.
Rows for a GPU are left out where there is none. The table goes to _build/benchmarks/peers.md, with --record the rows go
to benchmarks/results/peers.json, which README and book show; nothing is asserted.

"nvpkit as in fit" is our step with all parameters in one vector, as ``fit`` arranges them: the same Adam on one tensor.
It is printed beside the others and counts in no row's value. A CUDA graph can be captured by the user of any library;
``fit`` does it by itself.

The peers are pinned in benchmarks/requirements.txt.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import time
import warnings

import torch

from benchmarks import peer_flows, record
from nvpkit.training.flat import FlatParameters

SMALL, LARGE = (2, 8, (128, 128)), (784, 8, (1000,) * 4)  # dim, couplings, hidden widths
AS_IN_FIT = "nvpkit as in fit"
RESULTS, TABLE = record.BUILD / "peers.jsonl", record.BUILD / "peers.md"
FINAL = record.RESULTS / "peers.json"


def rounds_of(functions, seconds, clock, sync=lambda: None):
    """Return, for each function, its milliseconds in every round; each round takes them in another random order."""
    for function in functions * 2:
        function()
    order, times, end = random.Random(0), [[] for _ in functions], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for i in order.sample(range(len(functions)), len(functions)):
            sync()
            start = clock()
            functions[i]()
            sync()
            times[i].append(1e3 * (clock() - start))
    return times


def compare(what, names, functions, seconds, clock=time.thread_time, rivals=None, **more):
    """Measure and return one row; ``rivals`` are those that the value speaks of, all but the first by default."""
    with record.stopwatch() as taken:
        times = rounds_of(functions, seconds, clock, more.pop("sync", lambda: None))
    ratios = {name: [t / o for t, o in zip(times[i], times[0])] for i, name in enumerate(names) if i > 0}
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    rivals = rivals or list(medians)
    best = min(rivals, key=medians.get)
    return record.row(
        what,
        round(medians[best], 3),
        standard_error=round(error_of_median(ratios[best]), 4),
        **taken,
        libraries=peer_flows.PEERS,
        best_peer=best,
        times_as_long={name: round(medians[name], 3) for name in rivals},
        beside={name: round(value, 3) for name, value in medians.items() if name not in rivals},
        milliseconds={name: round(statistics.median(t), 3) for name, t in zip(names, times)},
        rounds=len(times[0]),
        **more,
    )


def error_of_median(values):
    """The standard error of a median of nearly normal values, from their quartiles: single stalls do not count."""
    low, _, high = statistics.quantiles(values, n=4)
    return 1.2533 * (high - low) / 1.349 / len(values) ** 0.5


def stepper(model, x, wrap=lambda loss: loss, flat=False, **adam):
    """One training step: the loss, its gradient, fused Adam. nvpkit looks at its data once, before, as ``fit`` does."""
    parameters = model.module.parameters()
    if flat:
        parameters = FlatParameters(model.module).vectors
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True, **adam)
    loss = wrap(lambda x: -model.log_prob(x).mean())
    trusted = getattr(model.module, "trusted", contextlib.nullcontext)

    def step():
        with trusted():
            optimizer.zero_grad(set_to_none=not flat)
            loss(x).backward()
            optimizer.step()

    return step


def training(size, batch, seconds):
    models, x = peer_flows.build(*size), torch.randn(batch, size[0])
    what = f"training step, D={size[0]}, K={size[1]}, {size[2][0]}x{len(size[2])}, batch {batch}, eager, CPU"
    names = [*(m.name for m in models), AS_IN_FIT]
    functions = [*(stepper(m, x) for m in models), stepper(peer_flows.ours(*size), x, flat=True)]
    goal = "more than 1" if size == SMALL else "at least 1"
    return compare(what, names, functions, seconds, rivals=list(peer_flows.PEERS), goal=goal)


def compiled(batch, seconds):
    """The same with torch.compile: ours against the peers as they are; what compiles of them is printed too."""
    x, functions, failed = torch.randn(batch, 2), {}, []
    models = {f"{model.name} compiled": model for model in peer_flows.build(*SMALL)}
    models[f"{AS_IN_FIT}, compiled"] = peer_flows.ours(*SMALL)
    for name, model in models.items():
        torch._dynamo.reset()
        step = stepper(model, x, lambda loss: torch.compile(loss, dynamic=False), flat=name.startswith(AS_IN_FIT))
        try:
            step()
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}")
            continue
        functions[name] = step
    functions |= {model.name: stepper(model, x) for model in peer_flows.build(*SMALL)}
    what = f"training step, D=2, K=8, 128x2, batch {batch}, compiled, CPU, against the peers eager"
    more = {"rivals": list(peer_flows.PEERS), "goal": "at least 1.3", "not_compiled": failed}
    return compare(what, list(functions), list(functions.values()), seconds, **more)


def captured(batch, seconds):
    """On a GPU: our step as one CUDA graph, as ``fit`` runs small flows there, against the peers eager."""
    what = f"training step, D=2, K=8, 128x2, batch {batch}, CUDA graph, GPU, against the peers eager"
    if not torch.cuda.is_available():
        return record.row(what, None, goal="at least 5", left_out="no GPU on this machine")
    from nvpkit.training.capture import WARM_UP, CapturedStep

    def on_gpu(model):
        model.module.cuda()
        return model

    x = torch.randn(batch, 2, device="cuda")
    models = [on_gpu(model) for model in peer_flows.build(*SMALL)]
    ours = on_gpu(peer_flows.ours(*SMALL))
    step = stepper(ours, x, capturable=True)
    graph = CapturedStep(lambda x, context: step())
    for _ in range(WARM_UP + 1):
        graph(x, None)
    functions = [lambda: graph(x, None), *(stepper(m, x) for m in models)]
    names = ["nvpkit captured", *(m.name for m in models)]
    clock = {"clock": time.perf_counter, "sync": torch.cuda.synchronize}
    row = compare(what, names, functions, seconds, rivals=list(peer_flows.PEERS), goal="at least 5", **clock)
    return {**row, "gpu_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20)}


def sampling_vectors(seconds):
    models = peer_flows.build(*SMALL)
    functions = [torch.no_grad()(lambda m=m: m.sample(100_000)) for m in models]
    what = "sampling 100,000 points, D=2, K=8, 128x2, CPU"
    return compare(what, [m.name for m in models], functions, seconds, goal="more than 1")


def sampling_images(seconds):
    from benchmarks import peer_images

    models = peer_images.build()
    functions = [torch.no_grad()(lambda m=m: m.sample(200)) for m in models]
    what = "sampling images 28x28, multi-scale, 2 x 4 couplings, 3 convolutions of 32 maps, 200 at a time, CPU"
    return compare(what, [m.name for m in models], functions, seconds, goal="more than 1")


def importing(seconds):
    """Seconds that importing nvpkit and its rooms for training takes beyond torch's own import, in new processes."""
    code = (
        "import time; a = time.process_time(); import torch; b = time.process_time(); import nvpkit, nvpkit.flow, "
        "nvpkit.models, nvpkit.training; print(b - a, time.process_time() - b)"
    )
    found, end = [], time.perf_counter() + seconds
    with record.stopwatch() as taken:
        while time.perf_counter() < end or len(found) < 3:
            output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            found.append([float(word) for word in output.split()])
    torch_alone, more = (statistics.median(column) for column in zip(*found))
    taken["cpu_seconds"] = sum(map(sum, found))  # the children's
    what = "import of nvpkit with models and training, CPU seconds beyond torch's own"
    return record.row(what, round(more, 3), goal="at most .3", **taken, torch_seconds=round(torch_alone, 2))


ROWS = {
    **{f"train-{b}": lambda s, b=b: training(SMALL, b, s) for b in (128, 512, 2048)},
    "train-784": lambda s: training(LARGE, 128, 4 * s),
    "sample-2d": sampling_vectors,
    "sample-images": sampling_images,
    "import": importing,
    **{f"gpu-{b}": lambda s, b=b: captured(b, s) for b in (128, 512, 2048)},
    **{f"compiled-{b}": lambda s, b=b: compiled(b, s) for b in (128, 512, 2048)},
}


def table(rows):
    """Return the rows as a Markdown table."""
    lines = ["| what | nvpkit, ms | best peer | times as long | all | goal | MiB | seconds |", "|" + " --- |" * 8]
    for row in rows:
        value = row.get("left_out") or f"{row['value']} ± {row['standard_error'] or 0}"
        ours = next(iter(row.get("milliseconds", {}).values()), "")
        others = {**row.get("times_as_long", {}), **row.get("beside", {})}
        others = ", ".join(f"{name} {ratio}" for name, ratio in others.items())
        cells = (row["what"], ours, row.get("best_peer", ""), value, others, row["goal"], row["peak_memory_mib"])
        lines.append("| " + " | ".join(map(str, (*cells, row["wall_seconds"] or ""))) + " |")
    last = rows[-1]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    return "\n".join([*lines, "", f"{last['hardware']}; {versions}; {last['date']}", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a JSON line for each row")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each row, beside compilation")
    parser.add_argument("--fresh", action="store_true", help="measure rows that are there again")
    parser.add_argument("--record", action="store_true", help=f"write the rows to {FINAL}, to be committed")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one row, in this process
    arguments = parser.parse_args()
    missing = [name for name in peer_flows.PEERS if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: python -m pip install -r benchmarks/requirements.txt")
    if arguments.here:
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        for name in arguments.rows:
            print(json.dumps({"row": name, **ROWS[name](arguments.seconds)}))
        return
    for name in arguments.rows:
        done = {row["row"]: row for row in record.read(RESULTS)}
        if name not in done or arguments.fresh or "left_out" in done[name]:
            command = [sys.executable, "-m", "benchmarks.peers", "--here", "--rows", name]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command += ["--seconds", str(arguments.seconds)]
            output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            done[name] = json.loads(output.splitlines()[-1])
            record.append(RESULTS, done[name])
        if arguments.json:
            print(json.dumps(done[name]), flush=True)
    rows = {row["row"]: row for row in record.read(RESULTS)}
    rows = [rows[name] for name in ROWS if name in rows]
    text = table(rows)
    TABLE.write_text(text, encoding="utf-8")
    if arguments.record:
        FINAL.parent.mkdir(parents=True, exist_ok=True)
        FINAL.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if not arguments.json:
        print(text, f"written to {TABLE}", sep="\n")


if __name__ == "__main__":
    main()
