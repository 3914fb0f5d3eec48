// Two maps in one view: left and right of a divider (swipe), or one minus the other (difference).

import { canSubtract, difference } from "./maps.js";

export const MODES = { swipe: "Swipe", difference: "Difference" };
const STEP = 0.02; // of a panel's width, with an arrow key

export class Compare {
  constructor(view) {
    this.view = view;
    this.kept = null; // the difference computed last
    this.dividers = ["surface", "flat"].map((kind) => this.divider(kind));
  }

  // {mode: "", "swipe" or "difference", other: name, at: share of a panel left of the divider}
  get state() {
    return (this.view.choices.compare ??= { mode: "", other: null, at: 0.5 });
  }

  // The maps that may stand beside the chosen one.
  partners(mode) {
    const { maps, base } = this.view;
    return maps.filter((map) => map !== base && (mode === "swipe" || canSubtract(base, map)));
  }

  // [map to draw, map right of the divider or null] for the chosen map.
  pair(base) {
    const { state, view } = this,
      partners = state.mode ? this.partners(state.mode) : [];
    if (!partners.length) state.mode = ""; // nothing to compare this map with
    if (!state.mode) return [base, null];
    const other = partners.find((map) => map.name === state.other) ?? partners[0];
    state.other = other.name;
    if (state.mode === "swipe") return [base, other];
    const stamp = `${base.stamp}-${other.stamp}`;
    if (this.kept?.stamp !== stamp || this.kept.first !== base)
      this.kept = { stamp, first: base, map: difference(base, other, view.support, view.differencePalette) };
    return [this.kept.map, null];
  }

  set(change) {
    Object.assign(this.state, change);
    this.view.showMap(this.view.base.name);
  }

  get split() {
    return this.state.mode === "swipe" ? this.state.at : null;
  }

  // ---------------------------------------------------------------- the handles

  divider(kind) {
    const made = this.view.part(`divider-${kind}`);
    const moveTo = (at) => {
      this.state.at = Math.min(1, Math.max(0, at));
      this.place();
      this.view.request();
    };
    made.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      made.setPointerCapture(event.pointerId);
      made.focus();
      this.dragging = true;
    });
    made.addEventListener("pointermove", (event) => {
      const panel = this.view.panels().find((p) => p.kind === kind);
      if (!this.dragging || !panel) return;
      moveTo((event.clientX - this.view.canvas.getBoundingClientRect().left - panel.x) / panel.w);
    });
    for (const name of ["pointerup", "pointercancel"]) made.addEventListener(name, () => (this.dragging = false));
    made.addEventListener("keydown", (event) => {
      const { at } = this.state,
        step = event.shiftKey ? 5 * STEP : STEP;
      const next = { ArrowLeft: at - step, ArrowRight: at + step, Home: 0, End: 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      moveTo(next);
    });
    return { kind, made };
  }

  // Puts the handles where the maps meet.
  place() {
    const { view, split } = this;
    for (const { kind, made } of this.dividers) {
      const panel = split === null ? null : view.panels().find((p) => p.kind === kind);
      made.hidden = !panel;
      if (!panel) continue;
      made.style.transform = `translateX(${panel.x + split * panel.w}px)`;
      made.setAttribute("aria-valuenow", String(Math.round(100 * split)));
      made.setAttribute("aria-valuetext", `${view.base.name} left of ${Math.round(100 * split)} %, ${this.state.other} right`);
      made.querySelector(".left").textContent = view.base.name;
      made.querySelector(".right").textContent = this.state.other;
    }
  }
}
