"""Latents beside the base density that they should follow, and the scales of NICE."""

import math

import torch

from nvpkit.viz.canvas import BLUE, VERMILLION, on_axes, plain, titled

HELD = (0.5, 0.9, 0.99)


def latents(z, ax=None, title=None, base="normal", color=BLUE):
    """Draw latents z (n, D) and the standard density, "normal" or "logistic", that they should follow.

    In two dimensions: the points, and the regions that hold 50, 90 and 99 % of the base. In others: the histogram of
    all entries, and the base's density of one.

    >>> latents(torch.randn(500, 2)).get_xlabel()
    '$z_1$'
    >>> latents(torch.randn(500, 64)).get_ylabel()
    'density'
    """
    z = plain(z, "latents", (2,))
    if base not in _LOG_DENSITY:
        raise ValueError(f"base must be one of {', '.join(_LOG_DENSITY)}, got {base!r}")
    ax = on_axes(ax)
    return titled(_plane(ax, z, base, color) if z.shape[1] == 2 else _entries(ax, z, base, color), title)


def scale_spectrum(s, ax=None, title=None):
    """Draw NICE's spectrum: sigma_d = exp(-s_d), sorted, on a logarithmic axis (NICE, section 5.1).

    ``s`` (D,) holds the log-scales of the last layer, ``flow.bijection.layers[-1].s``. A small sigma is a direction in
    which the data hardly vary.

    >>> scale_spectrum([0.0, 1.0, -1.0]).get_lines()[0].get_ydata().tolist()[1]
    1.0
    """
    sigma = (-plain(torch.as_tensor(s, dtype=torch.float64), "scale_spectrum", (1,))).exp().sort(descending=True).values
    ax = on_axes(ax, (5.0, 3.2))
    ax.semilogy(torch.arange(1, len(sigma) + 1).numpy(), sigma.numpy(), ".-", color=BLUE, linewidth=0.8, markersize=4)
    ax.set_xlabel("latent dimension, sorted")
    ax.set_ylabel(r"scale $\sigma_d$")
    return titled(ax, title)


def _logistic(h):
    return -torch.nn.functional.softplus(h) - torch.nn.functional.softplus(-h)


_LOG_DENSITY = {"normal": lambda h: -(h**2) / 2 - math.log(2 * math.pi) / 2, "logistic": _logistic}


def _plane(ax, z, base, color):
    from matplotlib.lines import Line2D

    ax.scatter(*z.T.numpy(), s=4, alpha=0.5, color=color, linewidths=0, rasterized=True, label="latents")
    reach = {"normal": 3.4, "logistic": 8.0}[base]
    axis = torch.linspace(-reach, reach, 161, dtype=torch.float64)
    one = _LOG_DENSITY[base](axis)
    values = one[:, None] + one[None]
    # The smallest region with a share of the mass is where the density exceeds a level.
    falling = values.flatten().sort(descending=True).values
    mass = falling.exp().cumsum(0) * (axis[1] - axis[0]) ** 2
    levels = [falling[int((mass < share).sum().clamp(max=len(mass) - 1))].item() for share in HELD]
    ax.contour(axis.numpy(), axis.numpy(), values.numpy(), levels[::-1], colors=VERMILLION, linewidths=1.2,
               linestyles="solid")  # fmt: skip
    dot = Line2D([], [], color=color, marker="o", linestyle="", markersize=3, label="latents")
    line = Line2D([], [], color=VERMILLION, label=f"{base}: 50, 90, 99 %")
    ax.legend(handles=[dot, line], loc="upper left", fontsize="small", framealpha=0.9, edgecolor="none")
    ax.set_ylim(min(-reach, float(z[:, 1].min())), max(1.25 * reach, float(z[:, 1].max())))  # room for the legend
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_2$")
    return ax


def _entries(ax, z, base, color):
    reach = max({"normal": 4.0, "logistic": 8.0}[base], torch.quantile(z.flatten()[:1_000_000].abs().double(), 0.999))
    axis = torch.linspace(-float(reach), float(reach), 201, dtype=torch.float64)
    ax.hist(z.flatten().numpy(), bins=80, range=(-float(reach), float(reach)), density=True, color=color, alpha=0.6,
            label="entries of z")  # fmt: skip
    ax.plot(axis.numpy(), _LOG_DENSITY[base](axis).exp().numpy(), color=VERMILLION, label=f"standard {base}")
    ax.legend(frameon=False, loc="upper left", fontsize="small")
    ax.set_xlabel("entry of z")
    ax.set_ylabel("density")
    return ax
