// Names of regions over the picture: those that face the viewer, and where two would overlap the larger region's.
// Takes the element that they are put into, the anchors of outlines.js and, for each picture, its poses (camera.js).

import { toScreen, worldPosition } from "./camera.js";

const CELL = 12; // CSS pixels of the coarse depth picture that tells what is hidden
const SMALL = 340; // pixels: on a narrower panel a name stands on its region or nowhere, moved away it would mean another
const APART = 2; // pixels between two names

export class Labels {
  constructor(box) {
    this.box = box;
    this.spans = [];
    this.revision = 0; // of the names
  }

  set(anchors) {
    this.box.replaceChildren();
    this.revision++;
    this.measured = false;
    this.spans = anchors.flatMap((anchor) =>
      ["surface", "flat"].map((kind) => {
        const span = document.createElement("span");
        span.className = kind;
        span.textContent = anchor.name;
        span.style.visibility = "hidden";
        this.box.append(span);
        return { span, anchor, kind, width: 0 };
      }),
    );
  }

  // Name at a place of the canvas (CSS pixels), null for none.
  at(x, y) {
    const inside = ({ at }) => at && x >= at.x && x < at.x + at.w && y >= at.y && y < at.y + at.h;
    return this.spans.find(inside)?.anchor.name ?? null;
  }

  // Marks the names of the selected region.
  choose(name) {
    for (const { span, anchor } of this.spans) span.classList.toggle("chosen", anchor.name === name);
  }

  // Widths count once the page's own letters are there.
  measure() {
    for (const one of this.spans) one.width = one.span.offsetWidth;
    this.measured = !this.spans.length || (this.spans[0].width > 0 && document.fonts.status === "loaded");
  }

  // `coarse` while the brain moves: what hides a name is looked for at every fourth vertex.
  place(poses, geometry, visible, coarse) {
    this.stride = coarse ? 4 : 1;
    const taken = [];
    const depths = new Map();
    if (!this.measured) this.measure();
    for (const entry of this.spans) {
      const p = visible && poses.find((one) => one.panel.kind === entry.kind);
      const spot = p && this.spot(entry, p, geometry, taken, depths);
      entry.at = spot || null;
      entry.span.style.visibility = spot ? "" : "hidden";
      if (spot) entry.span.style.transform = `translate(${spot.x.toFixed(1)}px, ${spot.y.toFixed(1)}px)`;
    }
  }

  spot({ anchor, kind, width }, p, geometry, taken, depths) {
    const vertex = kind === "flat" || p.flatness === 1 ? anchor.flat : anchor.surface;
    if (vertex < 0) return null;
    const [x, y, depth] = toScreen(worldPosition(geometry, vertex, p), p);
    if (p.flatness < 1) {
      if (!depths.has(p)) depths.set(p, nearestDepths(geometry, p, this.stride));
      if (depth > depths.get(p)(x, y) + 16) return null;
    }
    const w = width,
      h = 15,
      { panel } = p;
    for (const dy of panel.w < SMALL ? [0] : [0, -9, 9, -17, 17]) {
      const box = { x: x - w / 2, y: y - h / 2 + dy, w, h };
      const inside =
        box.x > panel.x + 2 &&
        box.x + w < panel.x + panel.w - 2 &&
        box.y > panel.y + 2 &&
        box.y + h < panel.y + panel.h - 2;
      if (!inside || taken.some((other) => touch(box, other))) continue;
      taken.push(box);
      return box;
    }
    return null;
  }
}

const touch = (a, b) =>
  a.x < b.x + b.w + APART && b.x < a.x + a.w + APART && a.y < b.y + b.h && b.y < a.y + a.h;

// (x, y) => depth of the nearest vertex in that cell of the panel.
function nearestDepths(geometry, p, stride) {
  const columns = Math.ceil(p.panel.w / CELL) + 1,
    rows = Math.ceil(p.panel.h / CELL) + 1;
  const grid = new Float32Array(columns * rows).fill(Infinity);
  const cell = (x, y) => {
    const column = Math.floor((x - p.panel.x) / CELL),
      row = Math.floor((y - p.panel.y) / CELL);
    return column < 0 || row < 0 || column >= columns || row >= rows ? -1 : row * columns + column;
  };
  const step = stride * Math.max(1, Math.floor(geometry.count / 20000));
  for (let v = 0; v < geometry.count; v += step) {
    const [x, y, depth] = toScreen(worldPosition(geometry, v, p), p),
      k = cell(x, y);
    if (k >= 0 && depth < grid[k]) grid[k] = depth;
  }
  return (x, y) => (cell(x, y) < 0 ? Infinity : grid[cell(x, y)]);
}
