// The brain view: a Streamlit component (st.components.v2). It takes the messages of factortopy/view/message.py and ties
// together what the other modules do; each of them takes what its first lines say, none takes the view.

import { Controls } from "./controls.js";
import { Drawing } from "./drawing.js";
import { coarser, loadGeometry } from "./geometry.js";
import { Hover } from "./hover.js";
import { listenToKeys } from "./keyboard.js";
import { Labels } from "./labels.js";
import { whenNear } from "./lazy.js";
import { Membership, cameraOf, choicesOf } from "./link.js";
import { readRegions } from "./outlines.js";
import { unpack } from "./packing.js";
import { Painting } from "./painting.js";
import { savePicture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { Reports } from "./reports.js";
import { Selection } from "./selection.js";
import { Stage } from "./stage.js";
import { Steering } from "./steering.js";
import { regionWords, selectionWords, vertexWords } from "./words.js";

const views = new WeakMap();

export default function brain({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".ft-brain");
  let view = views.get(parentElement);
  if (!view || view.root !== root) {
    view?.dispose();
    view = new View(root);
    views.set(parentElement, view);
  }
  view.reports.report = setStateValue;
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
    this.stats = { frames: 0, frameMs: 0, switchMs: 0, firstPaintMs: 0, payloadBytes: 0 };
    this.reports = new Reports();
    this.group = new Membership({
      camera: () => this.follow(),
      hovered: (vertex) => this.hover.show(vertex),
      vertex: (vertex) => this.select(vertex, { tell: false }),
      region: (name) => this.selectRegion(name, { tell: false }),
    });
    this.selection = new Selection({
      vertex: (vertex, tell) => this.vertexChanged(vertex, tell),
      region: (name, tell) => this.regionChanged(name, tell),
    });
    this.stage = new Stage(this.part("paint"));
    this.labels = new Labels(this.part("labels"));
    this.drawing = new Drawing(this.stage, this.labels, this.stats, {
      before: () => this.steering.wanted && this.steering.restore(this.steering.wanted),
      extras: () => ({ marks: this.selection.marks(), names: this.namesShown, split: this.painting.compare.split }),
      painted: () => (root.dataset.painted = String(Number(root.dataset.painted) + 1)),
    });
    this.painting = new Painting(this.part, this.stage, this.drawing, {
      report: (state, value) => this.reports.send(state, value),
      speak: () => this.speak(),
      notice: (words) => this.notice(words),
    });
    this.steering = new Steering(this.stage, {
      moved: () => this.moved(),
      setLayout: (layout) => this.setLayout(layout),
      rested: (text) => this.reports.send("camera", text),
      isGone: () => this.gone,
    });
    this.listen();
    this.resized = new ResizeObserver(() => this.isReady && this.painting.lay());
    this.resized.observe(this.stage.canvas);
    root.ftv = {
      project: (vertex) => this.drawing.project(vertex),
      pick: (x, y) => this.drawing.pick(x, y),
      stats: this.stats,
      view: this,
    };
  }

  // Controls around the canvas, mouse and keyboard on it; they do nothing until there is a map.
  listen() {
    const { part, stage, drawing, selection } = this;
    const ready = (action) => (...values) => this.isReady && action(...values);
    this.controls = new Controls(part, {
      setLayout: ready((layout) => this.setLayout(layout)),
      goTo: ready((preset) => this.steering.goTo(preset)),
      showFlat: ready((which) => this.steering.showFlat(which)),
      unfold: ready((shape) => this.unfold(shape)),
      toggleNames: ready(() => this.showNames(!this.namesShown)),
      save: ready(() => this.save()),
      enlarge: () => (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.()),
      selectRegion: ready((name) => this.selectRegion(name)),
    });
    const rings = { surface: part("ring-surface"), flat: part("ring-flat") };
    this.hover = new Hover(drawing, part("tip"), rings, {
      words: (vertex, name) => this.hoverWords(vertex, name),
      changed: (vertex) => this.group.pass("hovered", vertex),
    });
    const common = { isReady: () => this.isReady, moved: () => this.moved() };
    this.pointer = new Pointer(stage, {
      ...common,
      click: (x, y, whole) => this.click(x, y, whole),
      doubleClick: () => {
        selection.undoClicks();
        this.steering.reset();
      },
      hover: (x, y) => this.hover.at(x, y),
      leave: () => this.hover.leave(),
    });
    listenToKeys(stage, {
      ...common,
      reset: () => this.steering.reset(),
      select: (x, y) => selection.click(this.hover.vertex >= 0 ? this.hover.vertex : drawing.pick(x, y)),
      clear: () => selection.click(-1),
    });
  }

  get isReady() {
    return this.painting.isReady && !this.gone;
  }

  dispose() {
    this.group.leave();
    this.gone = true;
    this.unwatch?.();
    this.resized.disconnect();
    this.steering.stop();
    this.drawing.dispose();
  }

  // ---------------------------------------------------------------- messages

  async receive(bytes) {
    const { header, arrays } = unpack(bytes);
    this.latest = header.stamp;
    if (this.message && header.stamp === this.message.stamp) return;
    const small = header.controls === "compact";
    this.root.classList.toggle("compact", small);
    this.root.classList.toggle("headed", Boolean(header.heading));
    if (header.heading) this.part("title").textContent = header.heading; // its name stands there while it waits
    // Of many small views only those that are seen are drawn: a browser keeps few graphics contexts.
    if (small && !this.drawing.scene) await whenNear(this.root, (stop) => (this.unwatch = stop));
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
    const { drawing, reports } = this,
      before = this.message ?? {};
    if (!drawing.scene || drawing.geometry !== geometry) {
      drawing.start(geometry, coarse);
      this.notice("");
    }
    const changed = (name) => JSON.stringify(message[name]) !== JSON.stringify(before[name]);
    this.message = message;
    const choices = this.join(message, before, changed);
    this.root.classList.remove("waiting");
    this.part("badge").hidden = !message.simulated;
    const { selected: vertex, map, threshold, roi, camera } = message,
      first = !reports.last;
    reports.receive(message.report, { vertex, map, threshold, roi, camera });
    const wished = (name, state) => (first || changed(name)) && !reports.isEcho(state, message[name]);
    if (wished("threshold", "threshold") && (threshold !== null || !first)) choices.threshold = threshold;
    if (wished("map", "map") && map) choices.map = map;
    if (wished("selected", "vertex")) this.select(vertex, { tell: false });
    if (wished("camera", "camera") && camera) this.steering.wanted = camera;

    this.painting.receive(message, arrays, choices);
    if (changed("roisStamp") || !drawing.regions) {
      drawing.setRegions(readRegions(message, arrays));
      this.controls.setRegions(message.rois, this.selection.region);
      this.root.dataset.roi = this.selection.region ?? "";
    }
    if (wished("roi", "roi") && (roi !== null || !first)) this.selectRegion(roi, { tell: false });
    this.showChoices();
    this.painting.show(choices.map);
    // Where Python has chosen, its own record of the state follows.
    reports.send("vertex", this.selection.vertex);
    reports.send("threshold", choices.threshold ?? null);
    reports.send("roi", this.selection.region);
    if (choices.map) reports.send("map", choices.map);
  }

  // Takes part in the message's group; gives what the visitor has chosen in a view of this key.
  join(message, before, changed) {
    const name = message.group || message.key;
    this.group.join(name);
    this.choices = choicesOf(message.key);
    for (const [option, choice] of [
      ["layout", "layout"],
      ["labels", "names"],
    ]) {
      if (option in before && changed(option)) this.choices[choice] = message[option];
      else this.choices[choice] ??= message[option];
    }
    const { layout } = this.choices;
    Object.assign(this.stage, { camera: cameraOf(name), layout, compact: message.controls === "compact" });
    return this.choices;
  }

  // ---------------------------------------------------------------- selection

  select(vertex, options) {
    const { geometry } = this.drawing;
    if (!geometry) return;
    const exists = Number.isInteger(vertex) && vertex >= 0 && vertex < geometry.count;
    this.selection.select(exists ? vertex : -1, options);
  }

  selectRegion(name, options) {
    this.selection.selectRegion(name, options);
  }

  // whole: the smallest region that holds the vertex there is meant, unless a name lies there.
  click(x, y, whole) {
    this.part("hint").classList.add("seen");
    this.selection.remember();
    const vertex = this.drawing.pick(x, y),
      name = this.labels.at(x, y) ?? (whole ? this.drawing.regions.names(vertex)[0] : null);
    this.selection.click(vertex, name ?? null);
  }

  vertexChanged(vertex, tell) {
    this.root.dataset.vertex = String(vertex);
    this.speak();
    this.drawing.request();
    if (!tell) return;
    this.reports.send("vertex", vertex);
    this.group.pass("vertex", vertex);
  }

  regionChanged(name, tell) {
    this.root.dataset.roi = name ?? "";
    this.drawing.highlight(name);
    this.controls.showRegion(name);
    this.speak();
    if (!tell) return;
    this.reports.send("roi", name);
    this.group.pass("region", name);
  }

  // ---------------------------------------------------------------- words

  wordsFor(vertex) {
    const { regions, geometry } = this.drawing;
    return vertexWords(vertex, this.painting.shown, regions.names(vertex), geometry.n);
  }

  // vertex: −1 for none; name: of a region, or null.
  hoverWords(vertex, name) {
    const size = name && this.drawing.regions.sizeOf(name);
    return [vertex < 0 ? "" : this.wordsFor(vertex), name ? regionWords(name, size, name === this.selection.region) : ""]
      .filter(Boolean)
      .join(" · ");
  }

  // For screen readers: what is selected, and on which map.
  speak() {
    if (!this.isReady) return;
    const { vertex, region } = this.selection,
      words = vertex >= 0 ? this.wordsFor(vertex) : "";
    this.part("spoken").textContent = selectionWords(this.painting.shown.current.title, region, words);
  }

  notice(words) {
    const box = this.part("notice");
    box.textContent = words;
    box.hidden = !words;
  }

  // ---------------------------------------------------------------- camera and layout

  setLayout(layout) {
    this.choices.layout = layout;
    this.stage.layout = layout;
    this.showChoices();
    this.painting.lay();
    this.steering.settle();
  }

  // Whether outlines and names of regions are.
  get namesShown() {
    return this.choices.names !== false;
  }

  showNames(names) {
    this.choices.names = names;
    this.showChoices();
    this.drawing.request();
  }

  unfold(shape) {
    this.stage.camera.shape = shape;
    this.moved();
  }

  // Which buttons are pressed, which parts are there.
  showChoices() {
    this.root.dataset.layout = this.stage.layout;
    this.controls.showLayout(this.stage.layout);
    this.controls.showNames(this.namesShown);
    this.controls.showShape(this.stage.camera.shape);
  }

  // The camera changed by hand: draw this view and those linked to it.
  moved() {
    this.follow();
    this.group.pass("camera");
  }

  follow() {
    if (!this.isReady) return;
    this.hover.show(-1);
    this.drawing.move();
    this.controls.showShape(this.stage.camera.shape);
    this.steering.settle();
  }

  save() {
    const { stage, message, labels } = this,
      { shown, compare, legends } = this.painting;
    const words = [message.simulated ? "simulated" : "", "brain", shown.current.name, shown.other?.name].filter(Boolean).join("-");
    savePicture({
      canvas: stage.canvas,
      title: (message.simulated ? "simulated · " : "") + shown.title,
      names: labels.spans.filter((one) => one.at).map(({ anchor, at }) => ({ name: anchor.name, x: at.x, y: at.y })),
      legends,
      lines: compare.split === null ? [] : stage.panels().map(({ x, y, w, h }) => ({ x: x + compare.split * w, y, h })),
      filename: `${words.replace(/[^A-Za-z0-9_-]+/g, "-").toLowerCase()}.png`,
    });
  }
}
