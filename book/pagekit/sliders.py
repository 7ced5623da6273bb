"""Pictures that answer the reader's hand without a kernel: an SVG, a range input and a few lines of script.

All data is computed by the page's cell and written into the output, so the picture works on a static site, offline,
in a notebook and in Colab. The lines take the colour of the surrounding text, so light and dark pages both work.
"""

import json
import uuid
from pathlib import Path

import torch
from IPython.display import HTML

# Okabe and Ito's colours that stand out on white and on near-black.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]

_HERE = Path(__file__).parent


def _html(kind, alt, label, maximum, step, start, data, box):
    uid = f"nvp-{uuid.uuid5(uuid.NAMESPACE_DNS, kind + alt).hex[:10]}"
    payload = json.dumps(data, separators=(",", ":"))
    style, script = ((_HERE / name).read_text(encoding="utf8") for name in ("slider.css", f"{kind}.js"))
    return HTML(
        f'<style>{style}</style><div class="nvp-slider" id="{uid}" data-kind="{kind}">'
        f'<svg viewBox="0 0 {box[0]} {box[1]}" role="img" aria-label="{alt}"></svg>'
        f'<label><span>{label}</span><input type="range" min="0" max="{maximum}" step="{step}" value="{start}">'
        f"<output></output></label></div>\n"
        f'<script>(() => {{const root = document.getElementById("{uid}"), D = {payload};\n'
        'const svg = root.querySelector("svg"), input = root.querySelector("input"), '
        'out = root.querySelector("output");\n'
        "const add = (name, attributes, text) => {"
        'const node = document.createElementNS("http://www.w3.org/2000/svg", name);'
        "for (const k in attributes) node.setAttribute(k, attributes[k]);"
        "if (text) node.textContent = text; return svg.appendChild(node);};\n"
        f'{script}input.addEventListener("input", draw);\ndraw();}})();</script>'
    )


def _rounded(values, digits=3):
    return [round(float(v), digits) for v in values]


def map_slider(f, limits, alt, label="bend the map", quantiles=10, n=161):
    """A 1-D map from the identity to `f`, and the density that it gives to x when z = f(x) is standard normal.

    f: increasing, element by element, differentiable by autograd; limits: (low, high) of x. The slider shows
    (1 - t) x + t f(x), so the script knows map and slope at every t. Returns an IPython HTML object.
    """
    x = torch.linspace(*limits, n, dtype=torch.float64, requires_grad=True)
    z = f(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    x, z = x.detach(), z.detach()
    normal = torch.distributions.Normal(0.0, 1.0)
    t = torch.linspace(0, 1, 21)[:, None]
    top = (normal.log_prob((1 - t) * x + t * z).exp() * ((1 - t) + t * slope)).max()
    inner = torch.arange(1, quantiles) / quantiles
    data = {
        "x": _rounded(x), "f0": _rounded(x), "f1": _rounded(z), "d0": _rounded(torch.ones_like(x)),
        "d1": _rounded(slope), "q": _rounded(normal.icdf(inner)), "z": [-3, 3], "top": round(float(top) * 1.05, 3),
    }  # fmt: skip
    return _html("map", alt, label, 1, 0.02, 0.5, data, (430, 404))


def layer_slider(frames, labels, alt, limits=(-4.0, 4.0), lines=None, label="layer", dot=4.5):
    """Points, and optionally a grid, carried layer by layer; the slider moves them on straight lines between layers.

    frames: one (n, 2) tensor for each stage, or [] for none; labels: one text for each stage;
    lines: for each stage an (m, k, 2) tensor of m polylines; limits: (low, high) of both axes.
    Points keep the colour of the direction in which they start. Returns an IPython HTML object.
    """
    points, group = [], []
    if len(frames):
        start = frames[0] - frames[0].mean(0)
        rank = torch.atan2(start[:, 1], start[:, 0]).argsort().argsort()
        group = (rank * len(_COLOURS) // len(start)).tolist()
        points = [_rounded(f.flatten(), 2) for f in frames]
    data = {
        "size": 400, "limits": list(limits), "points": points, "group": group, "colours": _COLOURS, "dot": dot,
        "labels": list(labels), "lines": [[_rounded(g.flatten(), 2) for g in stage] for stage in lines or []],
    }  # fmt: skip
    return _html("layers", alt, label, len(labels) - 1, 0.05, 0, data, (400, 400))
