// Where the panels and the legend lie on the canvas, in CSS pixels, and which part of the flat map is shown.
// Takes sizes, a layout and a geometry; gives plain objects.

import { flatFit } from "./camera.js";

const SPLIT = 0.64; // share of the width that the surface has beside the flat map; as in brain.css
const LEGEND = [226, 130]; // CSS pixels of the largest legend with its margin
const NARROW = 600,
  ROW = 30; // of buttons, above a flat map that fills the width

// How much smaller legends are drawn: those of these widths must fit into `width` beside each other.
function legendZoom(width, widths, compact) {
  const all = widths.reduce((sum, w) => sum + w + 6, 12);
  return Math.max(0.5, Math.min(compact ? 0.66 : width < 420 ? 0.82 : 1, width / all));
}

// The same for legends one above the other in the foot of the flat panel.
function stackZoom(panel, legends, compact) {
  return Math.max(0.5, Math.min(legendZoom(panel.w, [LEGEND[0]], compact), panel.foot / (legends * LEGEND[1])));
}

// How much smaller the legends of these widths are drawn on a stage (stage.js).
export function legendsZoom(stage, widths) {
  const panel = stage.panels().at(-1),
    { compact } = stage;
  return stage.layout === "both" ? stackZoom(panel, widths.length, compact) : legendZoom(panel.w, widths, compact);
}

// A second legend takes the room that the map leaves at its size, and no more.
function footOf(w, h, focus, legends, compact) {
  const one = LEGEND[1] * legendZoom(w, [LEGEND[0]], compact),
    free = focus && legends > 1 ? h - (w / focus.w) * focus.h : 0;
  return Math.max(one, Math.min(legends * one, free));
}

// [{kind, x, y, w, h, foot, indent}] in CSS pixels; foot and indent: what is left free below and at the left.
export function panelsOf({ layout, width: w, height: h, compact, focus, legends = 1, rows = 1 }) {
  const zoom = legendZoom(w, [], compact);
  if (layout === "both") {
    const first = Math.round(w * SPLIT);
    return [
      { kind: "surface", x: 0, y: 0, w: first, h, foot: 0, indent: 0 },
      { kind: "flat", x: first, y: 0, w: w - first, h, foot: footOf(w - first, h, focus, legends, compact), indent: 0 },
    ];
  }
  const head = layout === "flat" && !compact ? ROW * rows : 0,
    below = { kind: layout, x: 0, y: head, w, h: h - head, foot: Math.min(LEGEND[1] * zoom, h / 2), indent: 0 },
    beside = { ...below, y: 0, h, foot: 0, indent: Math.min(LEGEND[0] * zoom, w / 2) };
  if (layout === "surface") return [w < NARROW ? below : { ...below, foot: 0 }];
  // The legend stands where it costs the flat map less.
  return [!focus || flatFit(below, focus) > flatFit(beside, focus) ? below : beside];
}

// The part of the flat map that holds the painted vertices, in millimetres.
const POSTERIOR = -35; // what lies behind this (inflated, millimetres) is shown when nothing is painted
export function flatFocus(geometry, support) {
  const xs = new Float32Array(geometry.count),
    zs = new Float32Array(geometry.count);
  let n = 0;
  const add = (v) => {
    if (!geometry.onFlat[v]) return;
    [xs[n], , zs[n]] = geometry.position(v, 3);
    n++;
  };
  if (support.length) support.forEach(add);
  else for (let v = 0; v < geometry.count; v++) if (geometry.position(v, 2)[1] < POSTERIOR) add(v);
  const range = (values) => {
    const sorted = values.subarray(0, n).sort();
    return [sorted[Math.floor(n * 0.004)], sorted[Math.floor((n - 1) * 0.996)]];
  };
  const [left, right] = range(xs),
    [low, high] = range(zs);
  return { x: (left + right) / 2, z: (low + high) / 2, w: (right - left) * 1.1 + 6, h: (high - low) * 1.12 + 6 };
}

// The old part of the flat map as long as the new one is nearly the same: maps that form live must not jump about.
export function steady(old, next) {
  const near = (a, b) => Math.abs(a - b) < 0.12 * next.w;
  return old && near(old.x, next.x) && near(old.z, next.z) && near(old.w, next.w) && near(old.h, next.h) ? old : next;
}
