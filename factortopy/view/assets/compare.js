// Two maps in one view, left and right of a divider ("swipe") or one minus the other ("difference"), and the buttons for it.
// Compare takes the maps that are shown (shown.js) and a state that outlives it; CompareButtons takes elements.

import { button, fill } from "./elements.js";
import { canSubtract, difference } from "./maps.js";

const MODES = { swipe: "Swipe", difference: "Difference" };
const TITLES = {
  swipe: "Two maps, left and right of a line that you can drag",
  difference: "This map minus another one",
};

export class Compare {
  constructor(changed) {
    this.changed = changed; // called after `set`
    this.state = { mode: "", other: null, at: 0.5 }; // mode: "", "swipe" or "difference"; other: name of a map
    this.subtracted = null; // the difference computed last
  }

  // Share of each panel left of the divider, or null.
  get split() {
    return this.state.mode === "swipe" ? this.state.at : null;
  }

  set(change) {
    Object.assign(this.state, change);
    this.changed();
  }

  // The maps that may stand beside the chosen one.
  partners({ maps, base }, mode) {
    return maps.filter((map) => map !== base && (mode === "swipe" || canSubtract(base, map)));
  }

  // [map to draw, map right of the divider or null] for the chosen map.
  pair(shown) {
    const { state } = this,
      { base } = shown,
      partners = state.mode ? this.partners(shown, state.mode) : [];
    if (!partners.length) state.mode = ""; // nothing to compare this map with
    if (!state.mode) return [base, null];
    const other = partners.find((map) => map.name === state.other) ?? partners[0];
    state.other = other.name;
    if (state.mode === "swipe") return [base, other];
    const stamp = `${base.stamp}-${other.stamp}`;
    if (this.subtracted?.stamp !== stamp || this.subtracted.first !== base) {
      const map = difference(base, other, shown.support, shown.differencePalette);
      this.subtracted = { stamp, first: base, map };
    }
    return [this.subtracted.map, null];
  }
}

// A button a mode and the list of the other maps, in `box`; changed: called with {mode} or {other}.
export class CompareButtons {
  constructor(box, changed) {
    this.buttons = Object.entries(MODES).map(([name, label]) => {
      const toggle = () => changed({ mode: this.mode === name ? "" : name });
      return [name, button(label, toggle, { pressed: false, title: TITLES[name] })];
    });
    this.partner = document.createElement("select");
    this.partner.addEventListener("change", () => changed({ other: this.partner.value }));
    box.append(...this.buttons.map(([, element]) => element), this.partner);
  }

  // partners: {mode: names of the maps that it may take}, none where the page allows no comparison.
  show({ mode, other }, partners) {
    this.mode = mode;
    for (const [name, element] of this.buttons) {
      element.hidden = !partners[name]?.length;
      element.setAttribute("aria-pressed", String(mode === name));
    }
    this.partner.hidden = !mode || !partners[mode];
    fill(this.partner, partners[mode] ?? [], other);
    this.partner.setAttribute("aria-label", mode === "swipe" ? "Map right of the divider" : "Map that is subtracted");
  }
}
