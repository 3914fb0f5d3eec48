// The brain view: a Streamlit component (st.components.v2). This file ties data, pointer, keyboard and controls
// together; drawing is in scene.js, colours and words in words.js, the camera in camera.js.

import { VIEWS, flatFit, newCamera, pose, toScreen, worldPosition, wrapAngle } from "./camera.js";
import { buildControls } from "./controls.js";
import { loadGeometry } from "./geometry.js";
import { Labels } from "./labels.js";
import { cameraOf, choicesOf, join, leave, tellOthers } from "./link.js";
import { Regions } from "./outlines.js";
import { unpack } from "./packing.js";
import { savePicture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { Scene } from "./scene.js";
import { UNPAINTED, describe, drawLegend, placeName } from "./words.js";

loadGeometry("geometry-10k.bin").catch(() => {}); // on its way before the first data come
const POSTERIOR = -35; // what lies behind this (inflated, millimetres) is shown on the flat map when nothing is painted
const SLOW = 45; // milliseconds a frame, above which a moving brain is drawn coarser
const SPLIT = 0.64; // share of the width that the surface has beside the flat map; as in brain.css
const LEGEND_HEIGHT = 128,
  LEGEND_WIDTH = 150; // CSS pixels that the flat map leaves free
const ECHO = 5000; // milliseconds within which a state that we sent may come back from Python
const views = new WeakMap();

export default function brain({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".ft-brain");
  let view = views.get(parentElement);
  if (!view || view.root !== root) {
    view?.dispose();
    view = new View(root);
    views.set(parentElement, view);
  }
  view.report = setStateValue;
  if (data) view.receive(data);
  return () => {
    view.dispose();
    views.delete(parentElement);
  };
}

// The old part of the flat map as long as the new one is nearly the same: maps that form live must not jump about.
function steady(old, next) {
  const near = (a, b) => Math.abs(a - b) < 0.12 * next.w;
  return old && near(old.x, next.x) && near(old.z, next.z) && near(old.w, next.w) && near(old.h, next.h) ? old : next;
}

class View {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`.${name}`);
    this.canvas = this.part("paint");
    this.labels = new Labels(this.part("labels"));
    this.vertex = -1;
    this.hovered = -1;
    this.maps = [];
    this.sent = { vertex: [], map: [], threshold: [] }; // not yet come back from Python
    this.stats = { frames: 0, frameMs: 0, switchMs: 0, firstPaintMs: 0, payloadBytes: 0 };
    this.motion = 0.6; // share of the resolution while moving on slow machines
    this.controls = buildControls(this);
    this.pointer = new Pointer(this);
    this.resized = new ResizeObserver(() => this.request());
    this.resized.observe(this.canvas);
    root.ftv = {
      project: (vertex) => this.project(vertex),
      pick: (x, y) => this.pick(x, y),
      stats: this.stats,
      view: this,
    };
  }

  dispose() {
    leave(this);
    this.gone = true;
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
    this.scene?.dispose();
  }

  // ---------------------------------------------------------------- data from Python

  async receive(bytes) {
    const { header, arrays } = unpack(bytes);
    this.latest = header.stamp;
    if (this.message && header.stamp === this.message.stamp) return;
    try {
      const geometry = await loadGeometry(header.geometry);
      if (this.gone || this.latest !== header.stamp) return; // newer data came meanwhile
      this.stats.payloadBytes = bytes.length;
      this.apply(header, arrays, geometry);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    const missing = error.message === "no WebGL2";
    this.notice(
      missing
        ? "This browser cannot draw the brain: it has no WebGL 2. Switch on hardware acceleration in its settings, " +
            "or open the page in a current Firefox, Chrome, Edge or Safari."
        : `The brain view stopped: ${error.message}`,
    );
    if (!missing) console.error(error);
  }

  apply(message, arrays, geometry) {
    const before = this.message ?? {};
    if (!this.scene || this.geometry !== geometry) this.start(geometry);
    const changed = (name) => JSON.stringify(message[name]) !== JSON.stringify(before[name]);
    this.message = message;
    this.choices = choicesOf(message.key);
    join(this, message.group || message.key);
    this.camera = cameraOf(message.group || message.key);
    this.root.classList.toggle("compact", message.controls === "compact");
    this.part("badge").hidden = !message.simulated;
    for (const [name, choice] of [
      ["layout", "layout"],
      ["labels", "names"],
    ]) {
      if (name in before && changed(name)) this.choices[choice] = message[name];
      else this.choices[choice] ??= message[name];
    }
    const first = !this.told;
    this.told ??= { vertex: message.selected, map: message.map, threshold: message.threshold };
    const wished = (name, state) => (first || changed(name)) && !this.isEcho(state, message[name]);
    if (wished("threshold", "threshold") && (message.threshold !== null || !first))
      this.choices.threshold = message.threshold;
    if (wished("map", "map") && message.map) this.choices.map = message.map;
    if (wished("selected", "vertex")) this.select(message.selected, { tell: false });

    this.readMaps(message, arrays, geometry);
    if (changed("roisStamp") || !this.regions) {
      const offsets = arrays.roiOffsets,
        vertices = arrays.roiVertices;
      this.regions = new Regions(
        geometry,
        message.rois.map((name, k) => ({ name, vertices: vertices.slice(offsets[k], offsets[k + 1]) })),
      );
      this.scene.setOutlines(this.regions.segments);
      this.labels.set(this.regions.anchors);
      this.part("names").hidden = message.rois.length === 0;
    }
    this.focus = steady(this.focus, this.flatFocus());
    this.controls.update();
    this.showMap(this.choices.map);
    // Where Python has chosen, its own record of the state follows.
    this.send("vertex", this.vertex);
    this.send("threshold", this.choices.threshold ?? null);
    if (this.choices.map) this.send("map", this.choices.map);
  }

  // A value that comes back from Python after we sent it is no wish of the page; the visitor may have gone on since.
  isEcho(state, value) {
    const recent = this.sent[state].filter((one) => performance.now() - one.at < ECHO);
    const found = recent.findIndex((one) => one.value === value);
    this.sent[state] = recent.slice(found + 1);
    return found >= 0;
  }

  start(geometry) {
    this.geometry = geometry;
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => this.restore());
    this.scene = new Scene(this.canvas, geometry);
    this.notice("");
  }

  // The browser took the graphics context away (sleep, driver): make everything again.
  restore() {
    if (this.gone) return;
    this.scene = new Scene(this.canvas, this.geometry);
    this.scene.setOutlines(this.regions.segments);
    this.painted = null;
    this.showMap(this.current.name);
  }

  // Bytes of each map on the whole mesh, made from those of the vertices that any map paints.
  readMaps(message, arrays, geometry) {
    const { support } = arrays;
    this.support = support;
    this.scores = new Uint8Array(geometry.count).fill(UNPAINTED);
    if (arrays.score) support.forEach((v, k) => (this.scores[v] = arrays.score[k]));
    this.maps = message.maps.map((map, m) => {
      const source = arrays[`map${m}`],
        n = support.length,
        bytes = new Uint8Array(4 * geometry.count);
      const planes = map.kind === "plane" ? 2 : 1,
        hasAlpha = source.length > planes * n;
      for (let v = 0; v < geometry.count; v++) bytes[4 * v] = UNPAINTED;
      for (let k = 0; k < n; k++) {
        const at = 4 * support[k];
        bytes[at] = source[k];
        bytes[at + 1] = planes === 2 ? source[n + k] : 0;
        bytes[at + 2] = hasAlpha ? source[planes * n + k] : 255;
      }
      for (let v = 0; v < geometry.count; v++) bytes[4 * v + 3] = this.scores[v];
      return { ...map, bytes, palette: arrays[`palette${m}`] };
    });
  }

  // The part of the flat map that holds the painted vertices, in millimetres.
  flatFocus() {
    const g = this.geometry,
      xs = [],
      zs = [];
    const wanted = this.support.length
      ? this.support
      : Array.from({ length: g.count }, (_, v) => v).filter((v) => g.position(v, 2)[1] < POSTERIOR);
    for (const v of wanted) {
      if (!g.onFlat[v]) continue;
      const [x, , z] = g.position(v, 3);
      xs.push(x);
      zs.push(z);
    }
    const range = (values) => {
      values.sort((a, b) => a - b);
      return [values[Math.floor(values.length * 0.004)], values[Math.floor((values.length - 1) * 0.996)]];
    };
    const [left, right] = range(xs),
      [low, high] = range(zs);
    return { x: (left + right) / 2, z: (low + high) / 2, w: (right - left) * 1.1 + 6, h: (high - low) * 1.12 + 6 };
  }

  // ---------------------------------------------------------------- maps and thresholds

  showMap(name) {
    this.current = this.maps.find((map) => map.name === name) ?? this.maps[0];
    const began = performance.now();
    if (this.painted !== this.current.stamp || this.paintedScore !== this.message.scoreStamp) {
      this.scene.setMap(this.current.bytes, this.current);
      this.painted = this.current.stamp;
      this.paintedScore = this.message.scoreStamp;
      this.fresh = true;
    }
    this.part("title").textContent = this.current.title;
    this.part("title").title = this.current.title;
    const legend = this.part("legend");
    legend.setAttribute("aria-label", drawLegend(legend, this.current, Math.min(2, devicePixelRatio || 1) + 0.5));
    legend.title = this.current.legend.note ?? "";
    this.canvas.setAttribute(
      "aria-label",
      `Brain. ${this.current.title}. Arrow keys turn, plus and minus zoom, 0 resets.`,
    );
    this.applyThreshold(this.choices.threshold ?? null);
    this.controls.showMap();
    if (!this.stats.frames) return this.request();
    this.motionUntil = began + 100; // on a slow machine coarse at once, fine after
    this.draw();
    this.stats.switchMs = performance.now() - began;
    return undefined;
  }

  chooseMap(name) {
    this.choices.map = name;
    this.showMap(name);
    this.send("map", name);
  }

  // The least score byte that is shown, 0 for all; the same rule as BrainMap.shown.
  leastByte(threshold) {
    const { score } = this.message;
    if (!score || threshold === null) return 0;
    return Math.min(254, Math.max(0, Math.ceil((threshold - score.low) / (score.step || 1) - 1e-6)));
  }

  isShown(vertex) {
    const value = this.current.bytes[4 * vertex],
      score = this.scores[vertex],
      least = this.scene.least;
    return value !== UNPAINTED && (least === 0 || (score !== UNPAINTED && score >= least));
  }

  applyThreshold(threshold) {
    this.scene.least = this.leastByte(threshold);
    let total = 0,
      shown = 0;
    for (const v of this.support) {
      if (this.current.bytes[4 * v] === UNPAINTED) continue;
      total++;
      if (this.isShown(v)) shown++;
    }
    this.controls.showCount(shown, total);
    if (total === 0) this.notice("No vertex of this map is predicted above chance, so nothing is painted.");
    else this.notice(shown === 0 ? "No vertex reaches this threshold. Lower it to see the map." : "");
  }

  setThreshold(threshold, { final }) {
    this.choices.threshold = threshold;
    this.applyThreshold(threshold);
    this.motionUntil = performance.now() + 100;
    this.request();
    if (final) this.send("threshold", threshold);
  }

  // ---------------------------------------------------------------- selection

  select(vertex, { tell = true } = {}) {
    if (!this.geometry) return;
    const known = Number.isInteger(vertex) && vertex >= 0 && vertex < this.geometry.count ? vertex : -1;
    if (known === this.vertex) return;
    this.vertex = known;
    this.root.dataset.vertex = String(known);
    this.part("spoken").textContent = known < 0 || !this.current ? "" : `Selected: ${this.wordsFor(known)}`;
    this.motionUntil = performance.now() + 60;
    this.request();
    if (!tell) return;
    this.send("vertex", known);
    tellOthers(this, "select", known, { tell: false });
  }

  hover(vertex, x, y) {
    if (vertex !== this.hovered) {
      this.showHovered(vertex);
      tellOthers(this, "showHovered", vertex);
    }
    const tip = this.part("tip");
    tip.hidden = vertex < 0;
    this.canvas.classList.toggle("over", vertex >= 0);
    if (vertex < 0) return;
    tip.textContent = this.wordsFor(vertex);
    const { offsetWidth: w, offsetHeight: h } = tip,
      { clientWidth: W, clientHeight: H } = this.canvas;
    const left = x + 16 + w > W ? x - 14 - w : x + 16,
      top = y + 18 + h > H ? y - 12 - h : y + 18;
    tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
  }

  // A ring where the hovered vertex is: elements over the canvas, so that hovering draws nothing anew.
  showHovered(vertex) {
    this.hovered = vertex;
    const places = vertex >= 0 && this.current ? this.project(vertex) : [];
    for (const kind of ["surface", "flat"]) {
      const ring = this.part(`ring-${kind}`),
        place = places.find((one) => one.kind === kind && one.seen);
      ring.hidden = !place;
      if (place) ring.style.transform = `translate(${place.x}px, ${place.y}px)`;
    }
  }

  wordsFor(vertex) {
    const { bytes } = this.current,
      at = 4 * vertex,
      parts = [];
    parts.push(describe(this.current, [bytes[at], bytes[at + 1], bytes[at + 2]], this.isShown(vertex)));
    const regions = this.regions.names(vertex).slice(0, 3);
    if (regions.length) parts.push(regions.join(", "));
    const { score } = this.message,
      code = this.scores[vertex];
    if (score && code !== UNPAINTED && this.current.words.label !== score.label) {
      parts.push(`${score.label} ${(score.low + score.step * code).toFixed(2).replace("-", "−")}`);
    }
    parts.push(placeName(vertex, this.geometry.n));
    return parts.join(" · ");
  }

  // Tells Python about a state that has changed, which reruns the script.
  send(name, value) {
    if (this.told[name] === value || !this.message.report.includes(name)) return;
    this.told[name] = value;
    this.sent[name].push({ value, at: performance.now() });
    this.report(name, value);
  }

  // ---------------------------------------------------------------- camera

  get layout() {
    return this.choices?.layout ?? "both";
  }

  setLayout(layout) {
    this.choices.layout = layout;
    this.controls.update();
    this.request();
  }

  // Turns the camera to a preset in a quarter of a second.
  goTo(preset) {
    const from = { ...this.camera },
      to = { x: 0, y: 0, zoom: 1, ...VIEWS[preset] };
    const turn = wrapAngle(to.yaw - wrapAngle(from.yaw)),
      began = performance.now();
    const shape = this.camera.shape > 2 ? 2 : this.camera.shape;
    const step = () => {
      const t = Math.min(1, (performance.now() - began) / 260),
        eased = t * t * (3 - 2 * t);
      for (const name of ["pitch", "open", "zoom", "x", "y", "w", "h"])
        this.camera[name] = from[name] + (to[name] - from[name]) * eased;
      this.camera.yaw = from.yaw + turn * eased;
      this.camera.shape = from.shape + (shape - from.shape) * eased;
      this.moved();
      if (t < 1 && !this.gone) requestAnimationFrame(step);
    };
    step();
  }

  reset() {
    Object.assign(this.camera, newCamera());
    this.moved();
  }

  showFlat(part) {
    const { camera, focus } = this,
      panel = this.panels().find((p) => p.kind === "flat");
    Object.assign(camera, { flatZoom: 1, flatX: 0, flatY: 0 });
    if (part === "whole" && panel) {
      const fit = Math.min((panel.w - panel.indent) / 670, (panel.h - panel.foot) / 300),
        now = flatFit(panel, focus);
      Object.assign(camera, { flatZoom: fit / now, flatX: focus.x * fit, flatY: focus.z * fit });
    }
    this.moved();
  }

  // The camera changed by hand: draw this view and those linked to it.
  moved() {
    this.follow();
    tellOthers(this, "follow");
  }

  follow() {
    if (!this.current) return;
    this.showHovered(-1);
    this.motionUntil = performance.now() + 160;
    this.request();
    this.controls.showShape();
  }

  // ---------------------------------------------------------------- drawing

  panels() {
    const w = this.canvas.clientWidth,
      h = this.canvas.clientHeight;
    if (this.layout === "surface") return [{ kind: "surface", x: 0, y: 0, w, h }];
    if (this.layout === "flat") {
      const indent = this.message.controls === "compact" || w > 600 ? Math.min(LEGEND_WIDTH, w / 2) : 0;
      return [{ kind: "flat", x: 0, y: 0, w, h, foot: 0, indent }];
    }
    const first = Math.round(w * SPLIT);
    return [
      { kind: "surface", x: 0, y: 0, w: first, h },
      { kind: "flat", x: first, y: 0, w: w - first, h, foot: LEGEND_HEIGHT, indent: 0 },
    ];
  }

  poses() {
    return this.panels().map((panel) => pose(this.camera, panel, this.focus));
  }

  request() {
    if (this.frame || this.gone || !this.current) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    if (this.gone || !this.scene || this.canvas.clientWidth < 2 || this.canvas.clientHeight < 2) return;
    const began = performance.now();
    const first = this.stats.frames === 0; // not smoothed, so that it is there sooner
    const moving = began < (this.motionUntil ?? 0) && this.stats.frameMs > SLOW;
    const full = Math.min(2, devicePixelRatio || 1);
    const poses = this.poses(),
      names = this.choices.names !== false;
    this.scene.full = full;
    this.scene.draw(poses, {
      scale: moving ? full * this.motion : full,
      moving: moving || first,
      marks: this.marks(),
      lines: names,
    });
    this.scene.finish();
    const took = performance.now() - began;
    if (!moving && !first) this.stats.frameMs = took;
    this.stats.movingMs = moving ? took : this.stats.movingMs;
    this.labels.place(poses, this.geometry, names, moving);
    this.stats.frames++;
    this.stats.firstPaintMs ||= performance.now();
    if (this.fresh) {
      this.fresh = false;
      this.root.dataset.painted = String(Number(this.root.dataset.painted) + 1);
    }
    clearTimeout(this.sharpen);
    if (moving || first) this.sharpen = setTimeout(() => this.request(), 200);
  }

  marks() {
    const marks = [];
    if (this.vertex >= 0) {
      marks.push({ vertex: this.vertex, size: 19, hollow: 0.62, colour: [1, 1, 1] });
      marks.push({ vertex: this.vertex, size: 7, hollow: 0, colour: [1, 1, 1] });
    }
    return marks;
  }

  // Vertex at a place of the canvas (CSS pixels), −1 for none.
  pick(x, y) {
    if (!this.scene || x < 0 || y < 0 || x >= this.canvas.clientWidth || y >= this.canvas.clientHeight) return -1;
    const { canvas, camera, focus, layout } = this;
    const key = [
      ...Object.values(camera),
      layout,
      canvas.clientWidth,
      canvas.clientHeight,
      ...Object.values(focus),
    ].join();
    return this.scene.pick(x, y, this.poses(), key);
  }

  // Where a vertex is drawn: [{kind, x, y, seen}] in CSS pixels of the canvas; seen: not hidden behind others.
  project(vertex) {
    return this.poses().map((p) => {
      const [x, y] = toScreen(worldPosition(this.geometry, vertex, p), p);
      return { kind: p.panel.kind, x, y, seen: this.pick(x, y) === vertex };
    });
  }

  notice(words) {
    const box = this.part("notice");
    box.textContent = words;
    box.hidden = !words;
  }

  save() {
    savePicture(this);
  }
}
