// Points and grid lines carried from stage to stage. D: size, limits, points, group, colours, dot, labels, lines.
const S = D.size, F = D.points, G = D.lines, low = D.limits[0], high = D.limits[1], clip = "clip-" + root.id;
const X = x => S * (x - low) / (high - low), Y = y => S * (high - y) / (high - low);
const window_ = document.createElementNS("http://www.w3.org/2000/svg", "rect");
window_.setAttribute("width", S);
window_.setAttribute("height", S);
add("clipPath", {id: clip}).appendChild(window_);
add("rect", {x: 1, y: 1, width: S - 2, height: S - 2, fill: "none", stroke: "currentColor", "stroke-opacity": .35});
const clipped = {fill: "none", "clip-path": `url(#${clip})`};
const grid = add("path", {...clipped, stroke: "currentColor", "stroke-opacity": .45});
const dots = {...clipped, "stroke-width": D.dot, "stroke-linecap": "round", "stroke-opacity": .85};
const paths = D.colours.map(c => add("path", {...dots, stroke: c}));
const draw = () => {
  const t = +input.value, k = Math.min(Math.floor(t), D.labels.length - 2), u = t - k;
  const at = (a, b, i) => a[i] + (b[i] - a[i]) * u;
  const spot = (a, b, j) => X(at(a, b, j)).toFixed(1) + " " + Y(at(a, b, j + 1)).toFixed(1);
  const parts = D.colours.map(() => []);
  D.group.forEach((g, j) => parts[g].push("M" + spot(F[k], F[k + 1], 2 * j) + "h0"));
  paths.forEach((p, c) => p.setAttribute("d", parts[c].join("")));
  let d = "";
  (G[k] || []).forEach((a, l) => { for (let j = 0; j < a.length; j += 2) d += (j ? "L" : "M") + spot(a, G[k + 1][l], j); });
  grid.setAttribute("d", d);
  const near = D.labels[Math.round(t)];
  out.textContent = near;
  input.setAttribute("aria-valuetext", near);
};
