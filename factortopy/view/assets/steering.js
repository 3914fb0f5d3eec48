// Where the camera goes: to a preset, a part of the flat map, or where an address says; Python is told when it rests.

import { VIEWS, cameraText, newCamera, pose, readCamera, wrapAngle } from "./camera.js";

const REST = 350; // milliseconds without movement, after which the camera is told
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Steering {
  constructor(view) {
    this.view = view;
    this.wanted = null; // a text of the state "camera", to go to before the next picture
  }

  // Turns the camera to a preset in a quarter of a second, or at once where the visitor wants no motion.
  goTo(preset) {
    const { view } = this,
      { camera } = view;
    const from = { ...camera },
      to = { x: 0, y: 0, zoom: 1, ...VIEWS[preset] };
    const turn = wrapAngle(to.yaw - wrapAngle(from.yaw)),
      began = performance.now();
    const shape = camera.shape > 2 ? 2 : camera.shape;
    const step = () => {
      const t = calm.matches ? 1 : Math.min(1, (performance.now() - began) / 260),
        eased = t * t * (3 - 2 * t);
      for (const name of ["pitch", "open", "zoom", "x", "y"])
        camera[name] = from[name] + (to[name] - from[name]) * eased;
      camera.yaw = from.yaw + turn * eased;
      camera.shape = from.shape + (shape - from.shape) * eased;
      view.moved();
      if (t < 1 && !view.gone) requestAnimationFrame(step);
    };
    step();
  }

  reset() {
    Object.assign(this.view.camera, newCamera());
    this.view.moved();
  }

  showFlat(part) {
    const { view } = this,
      { camera, focus } = view,
      panel = view.panels().find((p) => p.kind === "flat");
    Object.assign(camera, { flatZoom: 1, flatX: 0, flatY: 0 });
    if (part === "whole" && panel) {
      const fit = Math.min((panel.w - panel.indent) / 670, (panel.h - panel.foot) / 300),
        now = pose(camera, panel, focus).scale;
      Object.assign(camera, { flatZoom: fit / now, flatX: focus.x * fit, flatY: focus.z * fit });
    }
    view.moved();
  }

  // Tells the camera once it has come to rest.
  settle() {
    const { view } = this;
    clearTimeout(this.rest);
    if (view.message.report.includes("camera"))
      this.rest = setTimeout(() => view.send("camera", cameraText(view.camera, view.layout, view.poses())), REST);
  }

  // Goes where a text of the state "camera" says; one that cannot be read changes nothing.
  restore(text) {
    const { view } = this,
      read = readCamera(text);
    this.wanted = null;
    if (!read) return;
    if (view.layout !== read.layout) {
      view.choices.layout = read.layout;
      view.controls.update();
      view.lay();
    }
    read.place(view.camera, (camera) => view.panels().map((panel) => pose(camera, panel, view.focus)));
    view.moved();
  }

  stop() {
    clearTimeout(this.rest);
  }
}
