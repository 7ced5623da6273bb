"""Measure, in one run, what the compact coupling saves over the masked form, and where a training step spends its time.

    python -m benchmarks.couplings [--json] [--seconds 3]

Ratios of medians compare from machine to machine where seconds do not. The table is printed and written to
_build/benchmarks/couplings.md; nothing is asserted.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from nvpkit.bijections import AdditiveCoupling, MaskedAdditiveCoupling, half_mask
from nvpkit.models import nice
from nvpkit.nets import MLP

SIZES = {"2-D": (2, 64, 512), "digits": (64, 128, 256), "MNIST": (784, 500, 128)}  # dim, width, batch


def interleaved(functions, seconds):
    """Return the median milliseconds of each function; calls take turns, so that a busy machine slows all alike."""
    for function in functions:
        function()
    times = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, record in zip(functions, times):
            start = time.perf_counter()
            function()
            record.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(record) for record in times]


def forward_and_backward(layer, x):
    def run():
        layer.zero_grad(set_to_none=True)
        z, log_det = layer(x)
        (z.square().sum() - log_det.sum()).backward()

    return run


def training_step(flow, x, fused):
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=fused)

    def run():
        optimizer.zero_grad(set_to_none=True)
        (-flow.log_prob(x).mean()).backward()
        optimizer.step()

    return run


def measure(seconds=3.0):
    """Return one row of ratios for each size."""
    rows = []
    for name, (dim, width, batch) in SIZES.items():
        torch.manual_seed(0)
        mask, x = half_mask(dim, 0), torch.randn(batch, dim)
        kept = int(mask.sum())
        compact = AdditiveCoupling(mask, MLP(kept, dim - kept, (width, width)))
        masked = MaskedAdditiveCoupling(mask, MLP(dim, dim, (width, width)))
        flow = nice(dim, hidden=(width, width))
        a, b, plain, fused, density = interleaved(
            [
                forward_and_backward(compact, x),
                forward_and_backward(masked, x),
                training_step(flow, x, fused=False),
                training_step(flow, x, fused=True),
                lambda flow=flow, x=x: flow.log_prob(x),
            ],
            seconds,
        )
        rows.append(
            {
                "size": name,
                "masked / compact": round(b / a, 2),
                "plain Adam / fused Adam": round(plain / fused, 2),
                "training step / log_prob": round(fused / density, 2),
                "training step, ms": round(fused, 2),
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each size")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments.seconds)
    if arguments.json:
        print(json.dumps({"torch": torch.__version__, "threads": 1, "rows": rows}, indent=2))
        return
    lines = [f"torch {torch.__version__}, one thread", ""]
    lines += ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    table = Path("_build/benchmarks/couplings.md")
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, f"\nwritten to {table}", sep="\n")


if __name__ == "__main__":
    main()
