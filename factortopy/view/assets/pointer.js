// Mouse and touch on the canvas: dragging turns or shifts, the wheel and two fingers zoom, a click selects.
// Takes the stage, whose camera it moves, and {isReady(), moved(), click(x, y, whole), doubleClick(), hover(x, y), leave()};
// whole: the region that lies there is meant.

const HOVER_EVERY = 60; // milliseconds
const CLICK = 4; // CSS pixels that a hand may tremble
const DEGREES = 0.45; // of turning, a CSS pixel
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

export class Pointer {
  constructor(stage, actions) {
    Object.assign(this, { stage, actions });
    this.down = new Map(); // pointer id -> last place
    const on = (name, handler, options) =>
      stage.canvas.addEventListener(name, (event) => actions.isReady() && handler.call(this, event), options);
    on("pointerdown", this.press);
    on("pointermove", this.move);
    on("pointerup", this.release);
    on("pointercancel", this.cancel);
    on("pointerleave", this.hideHover);
    on("wheel", this.wheel, { passive: false });
    on("dblclick", actions.doubleClick);
    stage.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  press(event) {
    const at = this.stage.placeOf(event);
    this.stage.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, at);
    this.start = {
      at,
      panel: this.stage.panelAt(at[0]),
      dragged: this.down.size > 1,
      shifted: event.shiftKey || event.button > 0,
      button: event.button,
      whole: event.altKey,
    };
    this.hideHover();
  }

  move(event) {
    const at = this.stage.placeOf(event),
      before = this.down.get(event.pointerId);
    if (!before) return this.hoverSoon(at);
    const dx = at[0] - before[0],
      dy = at[1] - before[1];
    if (this.down.size === 2) return this.pinch(event.pointerId, at);
    if (!this.start.dragged && Math.hypot(at[0] - this.start.at[0], at[1] - this.start.at[1]) < CLICK) return undefined;
    this.start.dragged = true;
    this.down.set(event.pointerId, at);
    this.stage.canvas.classList.add("turning");
    this.drag(dx, dy);
    return undefined;
  }

  drag(dx, dy) {
    const { panel, shifted } = this.start;
    if (shifted || this.stage.isPlane(panel)) this.stage.shift(panel, dx, dy);
    else this.stage.turn(-dx * DEGREES, -dy * DEGREES);
    this.actions.moved();
  }

  // Two fingers: spread zooms, moving both shifts.
  pinch(id, at) {
    const [other] = [...this.down].filter(([key]) => key !== id).map(([, place]) => place);
    const before = this.down.get(id),
      { panel } = this.start;
    const size = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
    this.start.dragged = true;
    this.down.set(id, at);
    this.stage.zoom(size(at) / size(before), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], panel);
    this.stage.shift(panel, (at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    this.actions.moved();
  }

  release(event) {
    if (!this.down.delete(event.pointerId) || !this.start) return;
    this.stage.canvas.classList.remove("turning");
    if (this.start.dragged || this.start.button !== 0) return;
    this.actions.click(...this.start.at, this.start.whole);
  }

  cancel(event) {
    this.down.delete(event.pointerId);
    this.stage.canvas.classList.remove("turning");
  }

  wheel(event) {
    event.preventDefault();
    const at = this.stage.placeOf(event),
      lines = event.deltaMode === 1 ? 16 : 1;
    this.stage.zoom(Math.exp(-clamp(event.deltaY * lines, -240, 240) * 0.0016), at, this.stage.panelAt(at[0]));
    this.actions.moved();
  }

  // ---------------------------------------------------------------- hovering

  hoverSoon(at) {
    this.hoverAt = at;
    if (this.hoverTimer) return;
    const wait = Math.max(0, HOVER_EVERY - (performance.now() - (this.hoverDone ?? 0)));
    this.hoverTimer = setTimeout(() => {
      this.hoverTimer = 0;
      this.hoverDone = performance.now();
      if (this.hoverAt && this.actions.isReady() && !this.down.size) this.actions.hover(...this.hoverAt);
    }, wait);
  }

  hideHover() {
    this.hoverAt = null;
    this.actions.leave();
  }
}
