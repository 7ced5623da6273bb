"""Make book/_static/overview.png, the picture of the README: `python book/overview.py` (a minute on one core)."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch

from nvpkit import data, viz
from nvpkit.metrics import kl_to
from nvpkit.models import nice
from nvpkit.training import fit

OUT = Path(__file__).parent / "_static" / "overview.png"


def main():
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    moons = data.moons()
    points = moons.sample(2000, generator=torch.Generator().manual_seed(1))
    flow = nice(2, n_layers=8, hidden=(64, 64), base="normal", split="half")
    fit(flow, moons, steps=3000, lr=5e-3, batch_size=512)
    with torch.no_grad():
        latent, _ = flow(points)
    kl, error = kl_to(flow, moons, 20_000, generator=torch.Generator().manual_seed(2))
    print(f"KL(moons || flow) = {kl:.4f} +- {error:.4f} nats")

    images, _ = data.images("digits", "train")
    digits = nice(64, n_layers=4, hidden=(256, 256), levels=data.levels("digits"), dropout=0.2)
    digits.initialise(images.flatten(1))
    fit(digits, images[:1200].flatten(1), validation=images[1200:].flatten(1), steps=900, lr=2e-3)
    drawn = digits.sample(64, temperature=0.7, generator=torch.Generator().manual_seed(3))

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.5), layout="constrained", facecolor="white")
    viz.samples(points, ax=axes[0], title="data x")
    viz.samples(latent, ax=axes[1], title="latent z = f(x)", color=viz.VERMILLION)
    viz.density(flow.log_prob, (-1.6, 2.6, -1.85, 2.35), ax=axes[2], title="learned density p(x)")
    viz.image_grid(drawn.reshape(-1, 1, 8, 8), n_columns=8, ax=axes[3], title="digits, drawn by a NICE flow", high=16)
    for ax in axes[:2]:
        ax.set(xticks=[], yticks=[])
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=110, metadata={"Software": None})
    print(f"wrote book/_static/{OUT.name}, {OUT.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
