// A 1-D map, the base density at its left, the density of x below it. D: x, f0, f1, d0, d1, q, z, top.
const W = 300, H = 210, L = 110, T = 24, P = 110;
const n = D.x.length, lo = D.x[0], hi = D.x[n - 1], zl = D.z[0], zh = D.z[1], base = T + H + 34 + P;
const X = x => L + W * (x - lo) / (hi - lo), Z = z => T + H * (zh - z) / (zh - zl);
const phi = z => Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
const line = p => "M" + p.map(q => q[0].toFixed(1) + " " + q[1].toFixed(1)).join("L");
add("rect", {x: L, y: T, width: W, height: H, fill: "none", stroke: "currentColor", "stroke-opacity": .35});
add("text", {x: L + W / 2, y: T - 8, "text-anchor": "middle"}, "the map z = f(x)");
add("text", {x: 4, y: T - 8}, "p(z)");
add("text", {x: L - 8, y: base - P / 2, "text-anchor": "end"}, "p(x)");
add("text", {x: L + W, y: base + 20, "text-anchor": "end"}, "x");
add("line", {x1: L, x2: L + W, y1: base, y2: base, stroke: "currentColor", "stroke-opacity": .5});
const side = [];
for (let i = 0; i <= 80; i++) { const z = zl + (zh - zl) * i / 80; side.push([L - 10 - 190 * phi(z), Z(z)]); }
add("path", {d: line(side), fill: "none", stroke: "#D55E00", "stroke-width": 2.5});
const dashed = {fill: "none", stroke: "currentColor", "stroke-opacity": .4, "stroke-dasharray": "3 3"};
const ticks = D.q.map(() => add("path", dashed));
const curve = add("path", {fill: "none", stroke: "#3b82c4", "stroke-width": 3});
const area = add("path", {fill: "#009E73", "fill-opacity": .25, stroke: "#009E73", "stroke-width": 2.5});
const draw = () => {
  const t = +input.value, mix = (a, b) => D.x.map((_, i) => (1 - t) * a[i] + t * b[i]);
  const z = mix(D.f0, D.f1), d = mix(D.d0, D.d1), p = z.map((v, i) => phi(v) * d[i]);
  const y = v => base - v * P / D.top;
  curve.setAttribute("d", line(D.x.map((x, i) => [X(x), Z(z[i])]).filter(q => q[1] >= T && q[1] <= T + H)));
  area.setAttribute("d", line([[X(lo), base], ...D.x.map((x, i) => [X(x), y(p[i])]), [X(hi), base]]) + "Z");
  D.q.forEach((q, k) => {
    const i = z.findIndex(v => v >= q);
    if (i < 1) { ticks[k].setAttribute("d", ""); return; }
    const x = D.x[i - 1] + (D.x[i] - D.x[i - 1]) * (q - z[i - 1]) / (z[i] - z[i - 1]);
    ticks[k].setAttribute("d", line([[L - 10, Z(q)], [X(x), Z(q)], [X(x), base]]));
  });
  out.textContent = "bend " + t.toFixed(2);
  input.setAttribute("aria-valuetext", `bend ${t.toFixed(2)}, highest density ${Math.max(...p).toFixed(2)}`);
};
