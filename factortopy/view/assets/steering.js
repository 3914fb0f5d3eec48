// Where the camera goes: to a preset, a part of the flat map, or where an address says; its rest is reported.
// Takes the stage, whose camera it moves, and {moved(), setLayout(name), rested(text), isGone()}; the text is that of camera.js.

import { VIEWS, cameraText, newCamera, pose, readCamera, wrapAngle } from "./camera.js";

const REST = 350; // milliseconds without movement, after which the camera is reported
const TURN = 260; // milliseconds to a preset
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Steering {
  constructor(stage, actions) {
    Object.assign(this, { stage, actions });
    this.wanted = null; // a text of the state "camera", to go to before the next picture
  }

  // Turns the camera to a preset in a quarter of a second, or at once where the visitor wants no motion.
  goTo(preset) {
    const { camera } = this.stage;
    const from = { ...camera },
      to = { x: 0, y: 0, zoom: 1, ...VIEWS[preset] };
    const turn = wrapAngle(to.yaw - wrapAngle(from.yaw)),
      start = performance.now();
    const shape = camera.shape > 2 ? 2 : camera.shape;
    const step = () => {
      const t = calm.matches ? 1 : Math.min(1, (performance.now() - start) / TURN),
        eased = t * t * (3 - 2 * t);
      for (const name of ["pitch", "open", "zoom", "x", "y"])
        camera[name] = from[name] + (to[name] - from[name]) * eased;
      camera.yaw = from.yaw + turn * eased;
      camera.shape = from.shape + (shape - from.shape) * eased;
      this.actions.moved();
      if (t < 1 && !this.actions.isGone()) requestAnimationFrame(step);
    };
    step();
  }

  reset() {
    Object.assign(this.stage.camera, newCamera());
    this.actions.moved();
  }

  // part: "part", what is painted, or "whole".
  showFlat(part) {
    const { camera, focus } = this.stage,
      panel = this.stage.panelOf("flat");
    Object.assign(camera, { flatZoom: 1, flatX: 0, flatY: 0 });
    if (part === "whole" && panel) {
      const fit = Math.min((panel.w - panel.indent) / 670, (panel.h - panel.foot) / 300),
        now = pose(camera, panel, focus).scale;
      Object.assign(camera, { flatZoom: fit / now, flatX: focus.x * fit, flatY: focus.z * fit });
    }
    this.actions.moved();
  }

  // Reports the camera once it has come to rest.
  settle() {
    const { stage } = this;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.actions.rested(cameraText(stage.camera, stage.layout, stage.poses())), REST);
  }

  // Goes where a text of the state "camera" says; one that cannot be read changes nothing.
  restore(text) {
    const { stage, actions } = this,
      read = readCamera(text);
    this.wanted = null;
    if (!read) return;
    if (stage.layout !== read.layout) actions.setLayout(read.layout);
    read.place(stage.camera, () => stage.poses());
    actions.moved();
  }

  stop() {
    clearTimeout(this.rest);
  }
}
