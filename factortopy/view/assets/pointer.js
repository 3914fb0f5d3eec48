// Mouse, touch and keyboard on the canvas.

import { flatFit } from "./camera.js";

const HOVER_EVERY = 60; // milliseconds
const CLICK = 4; // CSS pixels that a hand may tremble
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

export class Pointer {
  constructor(view) {
    this.view = view;
    this.canvas = view.canvas;
    this.down = new Map(); // pointer id -> last place
    const on = (name, handler, options) => this.canvas.addEventListener(name, handler.bind(this), options);
    on("pointerdown", this.press);
    on("pointermove", this.move);
    on("pointerup", this.release);
    on("pointercancel", this.cancel);
    on("pointerleave", this.left);
    on("wheel", this.wheel, { passive: false });
    on("dblclick", this.doubleClick);
    on("contextmenu", (event) => event.preventDefault());
    on("keydown", this.key);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  panelAt([x]) {
    return this.view.panels().find((p) => x >= p.x && x < p.x + p.w) ?? this.view.panels()[0];
  }

  press(event) {
    if (!this.view.current) return;
    const at = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, at);
    this.start = {
      at,
      panel: this.panelAt(at),
      dragged: this.down.size > 1,
      shifted: event.shiftKey || event.button > 0,
      button: event.button,
      whole: event.altKey,
    };
    this.hideHover();
  }

  move(event) {
    if (!this.view.current) return;
    const at = this.place(event),
      before = this.down.get(event.pointerId);
    if (!before) return this.hoverSoon(at);
    const dx = at[0] - before[0],
      dy = at[1] - before[1];
    if (this.down.size === 2) return this.pinch(event.pointerId, at);
    if (!this.start.dragged && Math.hypot(at[0] - this.start.at[0], at[1] - this.start.at[1]) < CLICK) return undefined;
    this.start.dragged = true;
    this.down.set(event.pointerId, at);
    this.canvas.classList.add("turning");
    this.drag(dx, dy);
    return undefined;
  }

  drag(dx, dy) {
    const { camera } = this.view,
      { panel, shifted } = this.start;
    if (panel.kind === "flat") this.shift("flatX", "flatY", dx, dy);
    else if (shifted || camera.shape >= 2.98) this.shift("x", "y", dx, dy);
    else {
      camera.yaw -= dx * 0.45;
      camera.pitch = clamp(camera.pitch - dy * 0.45, -90, 90);
    }
    this.view.moved();
  }

  shift(x, y, dx, dy) {
    this.view.camera[x] += dx;
    this.view.camera[y] -= dy;
  }

  // Two fingers: spread zooms, moving both shifts.
  pinch(id, at) {
    const [other] = [...this.down].filter(([key]) => key !== id).map(([, place]) => place);
    const before = this.down.get(id);
    const size = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
    this.start.dragged = true;
    this.down.set(id, at);
    this.zoom(size(at) / size(before), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], this.start.panel);
    const [x, y] = this.start.panel.kind === "flat" ? ["flatX", "flatY"] : ["x", "y"];
    this.shift(x, y, (at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    this.view.moved();
  }

  release(event) {
    if (!this.down.delete(event.pointerId) || !this.start) return;
    this.canvas.classList.remove("turning");
    if (this.start.dragged || this.start.button !== 0) return;
    this.view.part("hint").classList.add("seen");
    const [x, y] = this.start.at;
    const { selection } = this.view,
      now = [selection.vertex, selection.region];
    this.beforeClick = this.lastSelected ?? now;
    this.lastSelected = now;
    const name = this.view.labels.at(x, y) ?? (this.start.whole ? this.regionAt(x, y) : null);
    selection.click(this.view.pick(x, y), name);
  }

  // The smallest region that holds the vertex at a place.
  regionAt(x, y) {
    return this.view.regions.names(this.view.pick(x, y))[0] ?? null;
  }

  cancel(event) {
    this.down.delete(event.pointerId);
    this.canvas.classList.remove("turning");
  }

  // The two clicks of a double click selected something: take that back, then reset.
  doubleClick() {
    if (!this.view.current) return;
    const [vertex, region] = this.beforeClick ?? [-1, null];
    this.view.select(vertex);
    this.view.selectRegion(region);
    this.view.steering.reset();
  }

  wheel(event) {
    if (!this.view.current) return;
    event.preventDefault();
    const at = this.place(event),
      lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-clamp(event.deltaY * lines, -240, 240) * 0.0016), at, this.panelAt(at));
    this.view.moved();
  }

  // Zooms a panel and keeps what is under `at` where it is.
  zoom(factor, [px, py], panel) {
    const { camera } = this.view,
      isFlat = panel.kind === "flat";
    const [zoom, x, y] = isFlat ? ["flatZoom", "flatX", "flatY"] : ["zoom", "x", "y"];
    const next = clamp(camera[zoom] * factor, 0.2, 12),
      real = next / camera[zoom];
    const focus = isFlat ? this.view.focus : null;
    const base = focus ? flatFit(panel, focus) * camera[zoom] : 0;
    const ox = focus ? -focus.x * base : 0,
      oy = focus ? -focus.z * base : 0;
    const cx = px - panel.x - (panel.w + (panel.indent ?? 0)) / 2,
      cy = -(py - panel.y - (panel.h - (panel.foot ?? 0)) / 2);
    camera[x] = cx - (cx - camera[x] - ox) * real - ox * real;
    camera[y] = cy - (cy - camera[y] - oy) * real - oy * real;
    camera[zoom] = next;
  }

  // ---------------------------------------------------------------- hovering

  hoverSoon(at) {
    this.hoverAt = at;
    if (this.hoverTimer) return;
    const wait = Math.max(0, HOVER_EVERY - (performance.now() - (this.hoverDone ?? 0)));
    this.hoverTimer = setTimeout(() => {
      this.hoverTimer = 0;
      this.hoverDone = performance.now();
      if (this.hoverAt && !this.view.gone && !this.down.size)
        this.view.selection.hover(this.view.pick(...this.hoverAt), ...this.hoverAt);
    }, wait);
  }

  hideHover() {
    this.hoverAt = null;
    this.view.selection.hover(-1);
  }

  left() {
    if (this.view.current) this.hideHover();
  }

  // ---------------------------------------------------------------- keyboard

  key(event) {
    const { view } = this,
      { camera } = view;
    if (!view.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 3 : 12,
      middle = (panel) => [panel.x + panel.w / 2, panel.y + panel.h / 2];
    const panel = view.panels()[0];
    const turn = (yaw, pitch) => () => {
      if (panel.kind === "flat" || camera.shape >= 2.98)
        this.shift(...(panel.kind === "flat" ? ["flatX", "flatY"] : ["x", "y"]), -yaw * 3, -pitch * 3);
      else {
        camera.yaw += yaw;
        camera.pitch = clamp(camera.pitch + pitch, -90, 90);
      }
    };
    const actions = {
      ArrowLeft: turn(step, 0),
      ArrowRight: turn(-step, 0),
      ArrowUp: turn(0, step),
      ArrowDown: turn(0, -step),
      "+": () => this.zoom(1.2, middle(panel), panel),
      "=": () => this.zoom(1.2, middle(panel), panel),
      "-": () => this.zoom(1 / 1.2, middle(panel), panel),
      0: () => view.steering.reset(),
      Home: () => view.steering.reset(),
    };
    const middleVertex = () => view.pick(...middle(panel));
    const chosen = () => (view.selection.hovered >= 0 ? view.selection.hovered : middleVertex());
    const selections = {
      Enter: () => view.selection.click(chosen()),
      " ": () => view.selection.click(chosen()),
      Escape: () => view.selection.click(-1),
    };
    const action = actions[event.key] ?? selections[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    if (event.key in actions) view.moved();
  }
}
