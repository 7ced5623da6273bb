"""What plays frames on a page: a picture, a button and a slider, in plain HTML without kernel, network or library."""

import hashlib
import html
import json
from string import Template

# Native controls: Tab reaches them, Space and Enter press the button, the arrow keys move the slider. Nothing moves
# until the reader asks for it. The script runs once for each player of a page, wherever the output is inserted.
TEMPLATE = """<figure class="nvp-player" data-key="$key" style="max-width:${width}px;margin:0 auto">
SCREEN
<div style="display:flex;gap:.6rem;align-items:center;flex-wrap:wrap">
<button type="button" style="min-width:4.5rem;min-height:2rem">Play</button>
<input type="range" min="0" max="$last" step="$step" value="0" aria-label="$label"
 style="flex:1 1 8rem;min-width:0;min-height:2rem">
<output style="min-width:6rem;font-variant-numeric:tabular-nums"></output></div></figure>
<script>(() => {for (const root of document.querySelectorAll('.nvp-player[data-key="$key"]:not([data-on])')) {
root.dataset.on = 1;
const D = $data, [screen] = root.children, button = root.querySelector("button"),
  input = root.querySelector("input"), out = root.querySelector("output"), last = D.labels.length - 1;
let timer = 0, before = 0;
PAINT
const draw = () => {paint(+input.value); const text = D.labels[Math.round(+input.value)];
  out.textContent = text; input.setAttribute("aria-valuetext", text);};
const stop = () => {cancelAnimationFrame(timer); timer = 0; button.textContent = "Play";};
let t = 0;
const run = now => {t += Math.min(now - before, 100) / 1000 * D.speed; before = now;
  input.value = Math.min(t, last); draw(); if (t < last) timer = requestAnimationFrame(run); else stop();};
button.addEventListener("click", () => {if (timer) {stop(); return;}
  t = +input.value >= last ? 0 : +input.value; before = performance.now(); button.textContent = "Pause";
  timer = requestAnimationFrame(run);});
input.addEventListener("input", () => {stop(); draw();});
draw();
}})();</script>"""

# Frames as images: show the nearest one.
IMAGES_SCREEN = (
    '<img alt="$alt" src="data:image/png;base64,$first" style="width:100%;display:block;image-rendering:$rendering">'
)
IMAGES_PAINT = 'const paint = t => {screen.src = "data:image/png;base64," + D.frames[Math.round(t)];};'

# Frames as points or lines: on the way between two frames they go straight. Coordinates have 16 bits, over three times
# the picture, so that lines may leave it.
POINTS_SCREEN = (
    '<canvas width="800" height="800" role="img" aria-label="$alt" style="width:100%;display:block;background:#fff">'
    "$alt</canvas>"
)
POINTS_PAINT = """const P = new Uint16Array(Uint8Array.from(atob(D.points), c => c.charCodeAt(0)).buffer);
const g = screen.getContext("2d"), size = P.length / D.labels.length, S = 720, X = i => 60 + S * (3 * i / 65535 - 1);
const paint = t => {
  const k = Math.min(Math.floor(t), last - 1), u = t - k, a = k * size, b = a + size;
  const at = i => P[a + i] + (P[b + i] - P[a + i]) * u, x = i => X(at(i)), y = i => 800 - X(at(i + 1));
  g.fillStyle = "#fff"; g.fillRect(0, 0, 800, 800);
  g.strokeStyle = "#000"; g.lineWidth = 1.5; g.strokeRect(60, 20, S, S);
  g.fillStyle = "#000"; g.font = "24px sans-serif"; g.textAlign = "center";
  g.fillText(D.box[0], 64, 770); g.fillText(D.box[1], 772, 770);
  g.textAlign = "right"; g.fillText(D.box[2], 54, 740); g.fillText(D.box[3], 54, 38);
  g.save(); g.beginPath(); g.rect(60, 20, S, S); g.clip();
  if (D.line) for (let i = 0; i < size; i += 2 * D.line) {
    g.strokeStyle = D.colours[i / 2 / D.line % D.colours.length]; g.lineWidth = 2; g.beginPath();
    for (let j = i; j < i + 2 * D.line; j += 2) g.lineTo(x(j), y(j));
    g.stroke();
  } else {
    g.globalAlpha = .7;
    for (let i = 0; i < size; i += 2) {
      g.fillStyle = D.colours[D.group[i / 2]]; g.beginPath(); g.arc(x(i), y(i), 4.5, 0, 7); g.fill();
    }
  }
  g.restore();
};"""


class Animation:
    """A player as HTML: the last value of a cell shows it, ``save`` writes it as a page of its own.

    >>> Animation("<p>frames</p>")
    Animation(0.0 kB)
    """

    def __init__(self, html):
        self.html = html

    def _repr_html_(self):
        return self.html

    def __repr__(self):
        return f"Animation({len(self.html) / 1000:.1f} kB)"

    def save(self, path, title="Animation"):
        """Write a page that needs nothing else."""
        from nvpkit.files import write_atomically

        page = (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            '<meta name="viewport" content="width=device-width"></head>\n<body style="font-family:sans-serif;'
            f'color:#000;background:#fff"><main><h1>{html.escape(title)}</h1>{self.html}</main></body></html>\n'
        )
        write_atomically(path, lambda draft: draft.write_text(page, encoding="utf-8"))


def player(kind, data, labels, alt, label, seconds, width, rendering="auto"):
    """Return the Animation of ``data``: ``kind`` is "images" (frames) or "points"; one label for each frame.

    >>> player("images", {"frames": ["", ""]}, ["0", "1"], "two empty frames", "step", 1.0, 200)
    Animation(... kB)
    """
    if not alt or not alt.strip():
        raise ValueError("alt is the text for readers who do not see the picture: say what moves, and how")
    if len(labels) < 2:
        raise ValueError(f"an animation has at least 2 frames, got {len(labels)}")
    if not seconds > 0:
        raise ValueError(f"seconds, the length of the animation, must be positive, got {seconds}")
    screen, paint = (IMAGES_SCREEN, IMAGES_PAINT) if kind == "images" else (POINTS_SCREEN, POINTS_PAINT)
    data = {**data, "labels": [str(text) for text in labels], "speed": round((len(labels) - 1) / seconds, 3)}
    # "</script>" in a label must not end the script.
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    page = Template(TEMPLATE.replace("SCREEN", screen).replace("PAINT", paint)).substitute(
        width=width,
        last=len(labels) - 1,
        step=1 if kind == "images" else 0.05,
        label=html.escape(label, quote=True),
        rendering=rendering,
        alt=html.escape(alt, quote=True),
        first=data.get("frames", [""])[0],
        key=hashlib.sha256((text + alt).encode()).hexdigest()[:12],
        data=text,
    )
    return Animation(page)
