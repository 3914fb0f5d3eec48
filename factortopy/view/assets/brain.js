// The brain view: a Streamlit component (st.components.v2). This file ties data, camera, drawing and controls together;
// drawing is in scene.js, maps in maps.js, what is selected in selection.js, where the camera goes in steering.js, two maps
// at once in compare.js.

import { pose, toScreen, worldPosition } from "./camera.js";
import { Compare } from "./compare.js";
import { buildControls } from "./controls.js";
import { coarser, loadGeometry } from "./geometry.js";
import { Labels } from "./labels.js";
import { whenNear } from "./lazy.js";
import { flatFocus, legendZoom, panelsOf, stackZoom, steady } from "./layout.js";
import { cameraOf, choicesOf, join, leave, tellOthers } from "./link.js";
import { UNPAINTED, isShown, readMaps, swipeTitle, vertexColours } from "./maps.js";
import { Regions } from "./outlines.js";
import { unpack } from "./packing.js";
import { savePicture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { Scene } from "./scene.js";
import { Selection } from "./selection.js";
import { Steering } from "./steering.js";
import { drawLegend, sameLegend } from "./words.js";

const SLOW = 45, // milliseconds a frame, above which a moving brain is drawn coarser
  FAST = 10; // and below which edges are smoothed by drawing at twice the resolution
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

class View {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`.${name}`);
    this.canvas = this.part("paint");
    this.labels = new Labels(this.part("labels"));
    this.selection = new Selection(this);
    this.compare = new Compare(this);
    this.steering = new Steering(this);
    this.maps = [];
    this.least = 0; // score byte of the threshold
    this.sent = { vertex: [], map: [], threshold: [], roi: [], camera: [] }; // not yet come back from Python
    this.stats = { frames: 0, frameMs: 0, switchMs: 0, firstPaintMs: 0, payloadBytes: 0 };
    this.motion = 0.6; // share of the resolution while moving on slow machines
    this.controls = buildControls(this);
    this.pointer = new Pointer(this);
    this.resized = new ResizeObserver(() => this.current && this.lay());
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
    this.unwatch?.();
    this.resized.disconnect();
    clearTimeout(this.sharpen);
    this.steering.stop();
    cancelAnimationFrame(this.frame);
    this.scene?.dispose();
  }

  // ---------------------------------------------------------------- data from Python

  async receive(bytes) {
    const { header, arrays } = unpack(bytes);
    this.latest = header.stamp;
    if (this.message && header.stamp === this.message.stamp) return;
    const small = header.controls === "compact";
    this.root.classList.toggle("compact", small);
    this.root.classList.toggle("headed", Boolean(header.heading));
    if (header.heading) this.part("title").textContent = header.heading; // its name stands there while it waits
    // Of many small views only those that are seen are drawn: a browser keeps few graphics contexts.
    if (small && !this.scene) await whenNear(this.root, (stop) => (this.unwatch = stop));
    if (this.gone || this.latest !== header.stamp) return;
    try {
      const geometry = await loadGeometry(header.geometry),
        coarse = await coarser(geometry, header.coarse);
      if (this.gone || this.latest !== header.stamp) return; // newer data came meanwhile
      this.stats.payloadBytes = bytes.length;
      this.apply(header, arrays, geometry, coarse);
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

  apply(message, arrays, geometry, coarse) {
    const before = this.message ?? {};
    if (!this.scene || this.geometry !== geometry) this.start(geometry, coarse);
    const changed = (name) => JSON.stringify(message[name]) !== JSON.stringify(before[name]);
    this.message = message;
    this.choices = choicesOf(message.key);
    join(this, message.group || message.key);
    this.camera = cameraOf(message.group || message.key);
    this.root.classList.remove("waiting");
    this.part("badge").hidden = !message.simulated;
    for (const [name, choice] of [
      ["layout", "layout"],
      ["labels", "names"],
    ]) {
      if (name in before && changed(name)) this.choices[choice] = message[name];
      else this.choices[choice] ??= message[name];
    }
    const first = !this.told;
    const { selected: vertex, map, threshold, roi, camera } = message;
    this.told ??= { vertex, map, threshold, roi, camera };
    const wished = (name, state) => (first || changed(name)) && !this.isEcho(state, message[name]);
    if (wished("threshold", "threshold") && (threshold !== null || !first)) this.choices.threshold = threshold;
    if (wished("map", "map") && map) this.choices.map = map;
    if (wished("selected", "vertex")) this.select(vertex, { tell: false });
    if (wished("camera", "camera") && camera) this.steering.wanted = camera;
    if (message.swipe && !this.choices.compare)
      Object.assign(this.compare.state, { mode: "swipe", other: message.swipe });

    const { support } = arrays;
    this.differencePalette = arrays.differencePalette;
    this.scores = new Uint8Array(geometry.count).fill(UNPAINTED);
    if (arrays.score) support.forEach((v, k) => (this.scores[v] = arrays.score[k]));
    this.maps = readMaps(message, arrays, geometry.count);
    if (changed("roisStamp") || !this.regions) {
      const { roiOffsets: offsets, roiVertices: vertices } = arrays;
      this.regions = new Regions(
        geometry,
        message.rois.map((name, k) => ({ name, vertices: vertices.slice(offsets[k], offsets[k + 1]) })),
      );
      this.scene.setOutlines("all", this.regions.segments);
      this.labels.set(this.regions.anchors);
      this.part("names").hidden = message.rois.length === 0;
      this.controls.setRegions(message.rois);
      this.selection.showRegion();
    }
    if (wished("roi", "roi") && (roi !== null || !first)) this.selectRegion(roi, { tell: false });
    if (before.scoreStamp !== message.scoreStamp || !this.focus)
      this.focus = steady(this.focus, flatFocus(geometry, support));
    this.support = support;
    this.controls.update();
    this.showMap(this.choices.map);
    // Where Python has chosen, its own record of the state follows.
    this.send("vertex", this.vertex);
    this.send("threshold", this.choices.threshold ?? null);
    this.send("roi", this.selection.region);
    if (this.choices.map) this.send("map", this.choices.map);
  }

  // A value that comes back from Python after we sent it is no wish of the page; the visitor may have gone on since.
  isEcho(state, value) {
    const recent = this.sent[state].filter((one) => performance.now() - one.at < ECHO);
    const found = recent.findIndex((one) => one.value === value);
    this.sent[state] = recent.slice(found + 1);
    return found >= 0;
  }

  start(geometry, coarse) {
    const again = Boolean(this.geometry);
    Object.assign(this, { geometry, coarse, painted: null });
    if (again) Object.assign(this, { regions: null, focus: null });
    else {
      this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
      this.canvas.addEventListener("webglcontextrestored", () => this.restore());
    }
    this.scene = new Scene(this.canvas, geometry, coarse);
    this.notice("");
  }

  // The browser took the graphics context away (sleep, driver): make everything again.
  restore() {
    if (this.gone) return;
    this.scene = new Scene(this.canvas, this.geometry, this.coarse);
    this.scene.setOutlines("all", this.regions.segments);
    this.selection.showRegion();
    this.painted = null;
    this.showMap(this.base.name);
  }

  // Tells Python about a state that has changed, which reruns the script.
  send(name, value) {
    if (this.told[name] === value || !this.message.report.includes(name)) return;
    this.told[name] = value;
    this.sent[name].push({ value, at: performance.now() });
    this.report(name, value);
  }

  // ---------------------------------------------------------------- maps and thresholds

  showMap(name) {
    const began = performance.now();
    this.base = this.maps.find((map) => map.name === name) ?? this.maps[0];
    [this.current, this.other] = this.compare.pair(this.base);
    this.secondLegend = this.other && !sameLegend(this.current, this.other) ? this.other : null;
    const { title } = this,
      { preview } = this.geometry; // its folding detail is interpolated
    this.part("title").textContent = this.message.heading || title + (preview ? " · preview surface" : "");
    this.part("title").title = preview ? `${title} (${preview})` : title;
    this.canvas.setAttribute(
      "aria-label",
      `Brain. ${title}. Arrow keys turn, plus and minus zoom, 0 resets, Enter selects the place in the middle.`,
    );
    const ratio = Math.min(2, devicePixelRatio || 1) + 0.5;
    for (const [part, map] of [
      ["legend", this.current],
      ["second", this.secondLegend],
    ]) {
      const legend = this.part(part);
      legend.hidden = !map;
      if (!map) continue;
      legend.setAttribute("aria-label", drawLegend(legend, map, ratio));
      legend.title = map.legend.note ?? "";
    }
    this.lay();
    this.applyThreshold(this.choices.threshold ?? null);
    this.controls.showMap();
    if (!this.stats.frames) return this.request();
    this.draw();
    this.stats.switchMs = performance.now() - began;
    return undefined;
  }

  get title() {
    return this.other ? swipeTitle(this.current, this.other) : this.current.title;
  }

  chooseMap(name) {
    this.choices.map = name;
    this.showMap(name);
    this.send("map", name);
    this.selection.speak();
  }

  // The least score byte that is shown, 0 for all; the same rule as BrainMap.shown.
  leastByte(threshold) {
    const { score } = this.message;
    if (!score || threshold === null) return 0;
    return Math.min(254, Math.max(0, Math.ceil((threshold - score.low) / (score.step || 1) - 1e-6)));
  }

  applyThreshold(threshold) {
    this.least = this.leastByte(threshold);
    this.colour();
    const { support, scores, least } = this,
      { bytes } = this.current;
    let total = 0,
      shown = 0;
    for (let k = 0; k < support.length; k++) {
      if (bytes[4 * support[k]] === UNPAINTED) continue;
      total++;
      if (isShown(this.current, support[k], scores, least)) shown++;
    }
    this.controls.showCount(shown, total);
    if (total === 0) this.notice("No vertex of this map is predicted above chance, so nothing is painted.");
    else this.notice(shown === 0 ? "No vertex reaches this threshold. Lower it to see the map." : "");
  }

  // Gives the scene the colours of the maps that are shown, unless it has them.
  colour() {
    const { current, other, least, scores, support } = this;
    const painted = [current.stamp, other?.stamp, this.message.scoreStamp, least].join();
    if (painted === this.painted) return;
    const maps = painted.split(",").slice(0, 3).join();
    this.fresh ||= maps !== this.paintedMaps;
    Object.assign(this, { painted, paintedMaps: maps });
    [current, other].forEach((map, side) => {
      if (map) this.scene.setColours(side, vertexColours(map, support, scores, least), map.kind !== "category");
    });
  }

  setThreshold(threshold, { final }) {
    this.choices.threshold = threshold;
    this.applyThreshold(threshold);
    this.request();
    if (final) this.send("threshold", threshold);
  }

  // ---------------------------------------------------------------- selection

  get vertex() {
    return this.selection.vertex;
  }

  select(vertex, options) {
    this.selection.select(vertex, options);
  }

  selectRegion(name, options) {
    this.selection.selectRegion(name, options);
  }

  showHovered(vertex) {
    this.selection.showHovered(vertex);
  }

  // ---------------------------------------------------------------- camera

  get layout() {
    return this.choices?.layout ?? "both";
  }

  get compact() {
    return this.message.controls === "compact";
  }

  setLayout(layout) {
    this.choices.layout = layout;
    this.controls.update();
    this.lay();
    this.steering.settle();
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
    this.steering.settle();
  }

  // ---------------------------------------------------------------- drawing

  panels() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const legends = this.secondLegend ? 2 : 1; // one above the other where the flat map is beside the surface
    const series = [...(this.controls.groups?.values() ?? [])].some((maps) => maps.length > 1); // has a row of its own
    const { layout, compact, focus } = this;
    return panelsOf({ layout, width, height, compact, focus, legends, rows: series ? 2 : 1 });
  }

  poses() {
    return this.panels().map((panel) => pose(this.camera, panel, this.focus));
  }

  // What lies over the canvas: legends in their size, the handles between two maps.
  lay() {
    const panel = this.panels().at(-1);
    const legends = [this.part("legend"), this.part("second")].filter((one) => !one.hidden);
    const widths = legends.map((one) => parseFloat(one.style.width) || 0);
    const zoom =
      this.layout === "both"
        ? stackZoom(panel, legends.length, this.compact)
        : legendZoom(panel.w, widths, this.compact);
    for (const one of legends) one.style.zoom = String(zoom);
    this.compare.place();
    this.request();
  }

  request() {
    if (this.frame || this.gone || !this.current) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  // What the geometry of a picture depends on.
  pictureKey(scale) {
    const { canvas, camera, focus, layout } = this;
    return [...Object.values(camera), layout, canvas.clientWidth, canvas.clientHeight, ...Object.values(focus), scale].join();
  }

  get fineScale() {
    const full = Math.min(2, devicePixelRatio || 1),
      { frameMs } = this.stats;
    this.smooth ||= full < 1.5 && frameMs > 0 && frameMs < FAST;
    return this.smooth ? 2 * full : full;
  }

  draw() {
    if (this.gone || !this.scene || this.canvas.clientWidth < 2 || this.canvas.clientHeight < 2) return;
    if (this.steering.wanted) this.steering.restore(this.steering.wanted);
    const began = performance.now();
    const first = this.stats.frames === 0; // coarse, so that it is there sooner
    const full = Math.min(2, devicePixelRatio || 1),
      fine = this.fineScale,
      fineKey = this.pictureKey(fine);
    const inMotion = first || (began < (this.motionUntil ?? 0) && this.stats.frameMs > SLOW);
    const moving = inMotion && !this.scene.isReady("still", fineKey);
    const poses = this.poses(),
      names = this.choices.names !== false,
      scale = moving ? full * (first ? 1 : this.motion) : fine;
    const drawn = this.scene.draw(poses, {
      name: moving ? "moving" : "still",
      scale,
      full,
      key: moving ? this.pictureKey(scale) : fineKey,
      marks: this.selection.marks(),
      lines: names,
      split: this.compare.split,
    });
    this.scene.finish();
    const took = performance.now() - began;
    if (drawn && !first) this.stats[moving ? "movingMs" : "frameMs"] = took;
    if (!drawn) this.stats.paintMs = took;
    const placed = [fineKey, names, this.labels.revision, moving].join();
    if (placed !== this.placed) this.labels.place(poses, this.geometry, names, moving);
    this.placed = placed;
    this.stats.frames++;
    this.stats.firstPaintMs ||= performance.now();
    if (this.fresh) {
      this.fresh = false;
      this.root.dataset.painted = String(Number(this.root.dataset.painted) + 1);
    }
    clearTimeout(this.sharpen);
    if (moving) this.sharpen = setTimeout(() => this.request(), 200);
  }

  // Vertex at a place of the canvas (CSS pixels), −1 for none.
  pick(x, y) {
    if (!this.scene || x < 0 || y < 0 || x >= this.canvas.clientWidth || y >= this.canvas.clientHeight) return -1;
    const scale = this.fineScale;
    return this.scene.pick(x, y, this.poses(), { scale, key: this.pictureKey(scale) });
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
