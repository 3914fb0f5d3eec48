// The canvas as a stage: its panels, the camera before it, and how a hand moves that camera.
// Takes a canvas; the view sets the other fields. Gives panels, poses (camera.js) and places in CSS pixels of the canvas.

import { flatFit, pose, toScreen, worldPosition } from "./camera.js";
import { panelsOf } from "./layout.js";

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.camera = null; // shared by the views of a group
    this.focus = null; // the part of the flat map to show, {x, z, w, h} in millimetres
    this.layout = "both"; // or "surface", "flat"
    this.compact = false;
    this.legends = 1; // one above the other where the flat map is beside the surface
    this.rows = 1; // of buttons above the flat map
  }

  panels() {
    const { clientWidth: width, clientHeight: height } = this.canvas,
      { layout, compact, focus, legends, rows } = this;
    return panelsOf({ layout, width, height, compact, focus, legends, rows });
  }

  // The panel of "surface" or "flat"; undefined where the layout has none.
  panelOf(kind) {
    return this.panels().find((panel) => panel.kind === kind);
  }

  panelAt(x) {
    const panels = this.panels();
    return panels.find((p) => x >= p.x && x < p.x + p.w) ?? panels[0];
  }

  poses() {
    return this.panels().map((panel) => pose(this.camera, panel, this.focus));
  }

  // What the geometry of a picture depends on; scale: its pixels per CSS pixel.
  pictureKey(scale) {
    const { canvas, camera, focus, layout } = this;
    return [...Object.values(camera), layout, canvas.clientWidth, canvas.clientHeight, ...Object.values(focus), scale].join();
  }

  holds(x, y) {
    return x >= 0 && y >= 0 && x < this.canvas.clientWidth && y < this.canvas.clientHeight;
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // Where a vertex falls in each panel: [{kind, x, y}].
  project(geometry, vertex) {
    return this.poses().map((p) => {
      const [x, y] = toScreen(worldPosition(geometry, vertex, p), p);
      return { kind: p.panel.kind, x, y };
    });
  }

  // ---------------------------------------------------------------- moved by hand

  // Whether a panel shows a plane, which is shifted where a surface is turned.
  isPlane(panel) {
    return panel.kind === "flat" || this.camera.shape >= 2.98;
  }

  turn(yaw, pitch) {
    this.camera.yaw += yaw;
    this.camera.pitch = clamp(this.camera.pitch + pitch, -90, 90);
  }

  shift(panel, dx, dy) {
    const [x, y] = panel.kind === "flat" ? ["flatX", "flatY"] : ["x", "y"];
    this.camera[x] += dx;
    this.camera[y] -= dy;
  }

  // Zooms a panel and keeps what is under a place where it is.
  zoom(factor, [px, py], panel) {
    const { camera } = this,
      isFlat = panel.kind === "flat";
    const [zoom, x, y] = isFlat ? ["flatZoom", "flatX", "flatY"] : ["zoom", "x", "y"];
    const next = clamp(camera[zoom] * factor, 0.2, 12),
      real = next / camera[zoom];
    const focus = isFlat ? this.focus : null;
    const base = focus ? flatFit(panel, focus) * camera[zoom] : 0;
    const ox = focus ? -focus.x * base : 0,
      oy = focus ? -focus.z * base : 0;
    const cx = px - panel.x - (panel.w + (panel.indent ?? 0)) / 2,
      cy = -(py - panel.y - (panel.h - (panel.foot ?? 0)) / 2);
    camera[x] = cx - (cx - camera[x] - ox) * real - ox * real;
    camera[y] = cy - (cy - camera[y] - oy) * real - oy * real;
    camera[zoom] = next;
  }
}
