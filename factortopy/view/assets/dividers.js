// The handles between two maps that are shown left and right of a line, one in each panel.
// Takes the stage, the handles' elements ({surface, flat}) and moved(share), called with the share left of the line.

const STEP = 0.02; // of a panel's width, with an arrow key
const clamp = (share) => Math.min(1, Math.max(0, share));

export class Dividers {
  constructor(stage, handles, moved) {
    Object.assign(this, { stage, handles, moved, split: null });
    for (const [kind, handle] of Object.entries(handles)) this.listen(kind, handle);
  }

  listen(kind, handle) {
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      this.dragging = true;
    });
    handle.addEventListener("pointermove", (event) => {
      const panel = this.stage.panelOf(kind);
      if (!this.dragging || !panel) return;
      this.moved(clamp((this.stage.placeOf(event)[0] - panel.x) / panel.w));
    });
    for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, () => (this.dragging = false));
    handle.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 5 * STEP : STEP;
      const next = { ArrowLeft: this.split - step, ArrowRight: this.split + step, Home: 0, End: 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      this.moved(clamp(next));
    });
  }

  // Puts the handles where the maps of two names meet; split: share of each panel left of there, null for no handles.
  place(split, left, right) {
    this.split = split;
    for (const [kind, handle] of Object.entries(this.handles)) {
      const panel = split === null ? null : this.stage.panelOf(kind);
      handle.hidden = !panel;
      if (!panel) continue;
      handle.style.transform = `translateX(${panel.x + split * panel.w}px)`;
      handle.setAttribute("aria-valuenow", String(Math.round(100 * split)));
      handle.setAttribute("aria-valuetext", `${left} left of ${Math.round(100 * split)} %, ${right} right`);
      handle.querySelector(".left").textContent = left;
      handle.querySelector(".right").textContent = right;
    }
  }
}
