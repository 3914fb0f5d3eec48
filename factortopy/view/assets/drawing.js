// The drawn brain: when a picture is made and how finely, so that a turning brain keeps up with the hand; what lies where.
// Takes the stage, the labels, statistics (written to), and {before(), extras(), painted()}: called before each picture,
// for what to draw besides the maps ({marks, names, split}), and after new maps have been drawn. Then a geometry, regions,
// maps. Gives vertices at places and places of vertices.

import { Regions } from "./outlines.js";
import { Scene } from "./scene.js";

const SLOW = 45, // milliseconds a frame, above which a moving brain is drawn coarser
  FAST = 10; // and below which edges are smoothed by drawing at twice the resolution
const MOTION = 160, // milliseconds that a movement of the camera lasts
  REST = 200; // until a coarse picture is drawn again, finely
const COARSE = 0.6; // share of the resolution while moving on slow machines

export class Drawing {
  constructor(stage, labels, stats, calls) {
    Object.assign(this, { stage, labels, stats, ...calls, motionUntil: 0, chosen: null });
    stage.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    stage.canvas.addEventListener("webglcontextrestored", () => this.restore());
  }

  // Throws when the browser has no WebGL2. coarse: as for Scene.
  start(geometry, coarse) {
    Object.assign(this, { geometry, coarse, regions: null, colours: null, maps: null });
    this.stage.focus = null;
    this.scene = new Scene(this.stage.canvas, geometry, coarse);
  }

  // The browser took the graphics context away (sleep, driver): make everything again.
  restore() {
    if (this.gone || !this.maps) return;
    this.scene = new Scene(this.stage.canvas, this.geometry, this.coarse);
    this.scene.setOutlines("all", this.regions.segments);
    this.highlight(this.chosen);
    this.colours = null;
    this.paint(this.maps);
    this.request();
  }

  dispose() {
    this.gone = true;
    clearTimeout(this.sharpen);
    cancelAnimationFrame(this.frame);
    this.scene?.dispose();
  }

  // ---------------------------------------------------------------- what is drawn

  // list: as for Regions.
  setRegions(list) {
    this.regions = new Regions(this.geometry, list);
    this.scene.setOutlines("all", this.regions.segments);
    this.labels.set(this.regions.anchors);
    this.highlight(this.chosen);
  }

  // Draws the outline of the region of a name brightly, where there is one; null for none.
  highlight(name) {
    this.chosen = name;
    this.scene?.setOutlines("chosen", name === null ? null : this.regions?.segmentsOf(name));
    this.labels.choose(name);
    this.request();
  }

  // Gives the scene the colours of the maps that are shown (shown.js), unless it has them.
  paint(maps) {
    const { stamp, least } = maps,
      colours = `${stamp},${least}`;
    this.maps = maps;
    if (colours === this.colours) return;
    this.fresh ||= stamp !== this.stamp;
    Object.assign(this, { colours, stamp });
    maps.colours().forEach(({ rgba, smooth }, side) => this.scene.setColours(side, rgba, smooth));
  }

  // ---------------------------------------------------------------- pictures

  // The camera moves.
  move() {
    this.motionUntil = performance.now() + MOTION;
    this.request();
  }

  request() {
    if (this.frame || this.gone || !this.maps) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  get fineScale() {
    const full = Math.min(2, devicePixelRatio || 1),
      { frameMs } = this.stats;
    this.smooth ||= full < 1.5 && frameMs > 0 && frameMs < FAST;
    return this.smooth ? 2 * full : full;
  }

  draw() {
    const { stage, scene, stats } = this;
    if (this.gone || !scene || stage.canvas.clientWidth < 2 || stage.canvas.clientHeight < 2) return;
    this.before();
    const start = performance.now(),
      early = stats.frames < 2; // coarse, and the very first without lines, so that it is there sooner
    const full = Math.min(2, devicePixelRatio || 1),
      fine = this.fineScale,
      fineKey = stage.pictureKey(fine);
    const inMotion = early || (start < this.motionUntil && stats.frameMs > SLOW);
    const moving = inMotion && !scene.isReady("still", fineKey);
    const poses = stage.poses(),
      { marks, names, split } = this.extras(),
      scale = moving ? full * (early ? 1 : COARSE) : fine;
    const drawn = scene.draw(poses, {
      name: moving ? "moving" : "still",
      scale,
      full,
      key: moving ? stage.pictureKey(scale) : fineKey,
      marks,
      lines: names,
      bare: stats.frames === 0,
      split,
    });
    scene.finish();
    const elapsed = performance.now() - start;
    if (drawn && !early) stats[moving ? "movingMs" : "frameMs"] = elapsed;
    if (!drawn) stats.paintMs = elapsed;
    const placed = [fineKey, names, this.labels.revision, moving].join();
    if (placed !== this.placed) this.labels.place(poses, this.geometry, names, moving);
    this.placed = placed;
    stats.frames++;
    stats.firstPaintMs ||= performance.now();
    if (this.fresh) this.painted();
    this.fresh = false;
    clearTimeout(this.sharpen);
    if (stats.frames === 1) this.request();
    else if (moving) this.sharpen = setTimeout(() => this.request(), REST);
  }

  // ---------------------------------------------------------------- what lies where

  // Vertex at a place of the canvas (CSS pixels), −1 for none.
  pick(x, y) {
    if (!this.scene || !this.stage.holds(x, y)) return -1;
    const scale = this.fineScale;
    return this.scene.pick(x, y, this.stage.poses(), { scale, key: this.stage.pictureKey(scale) });
  }

  // Where a vertex is drawn: [{kind, x, y, seen}] in CSS pixels of the canvas; seen: not hidden behind others.
  project(vertex) {
    return this.stage.project(this.geometry, vertex).map((place) => {
      return { ...place, seen: this.pick(place.x, place.y) === vertex };
    });
  }
}
