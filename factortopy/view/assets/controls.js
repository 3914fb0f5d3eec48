// The controls of camera, layout and regions around the canvas; those of maps and threshold are in switch.js.
// Takes part(name), the view's elements, and what to do: {setLayout(name), goTo(preset), showFlat(part), unfold(shape),
// toggleNames(), save(), enlarge(), selectRegion(name)}. Shows what it is given and keeps nothing.

import { button, fill, press } from "./elements.js";

const SHAPES = ["pial", "white", "inflated", "flat"];
const LAYOUTS = { both: "Both", surface: "Surface", flat: "Flat" };
const PRESETS = {
  start: ["Start", "From behind and a little below, hemispheres opened"],
  back: ["Back", "From behind"],
  below: ["Below", "From below"],
  left: ["Left", "From the left"],
  right: ["Right", "From the right"],
  top: ["Top", "From above"],
  inside: ["Open", "Opened like a book: the inner sides"],
};
const FLAT_PARTS = {
  part: ["Visual cortex", "Show the part of the flat map that is painted"],
  whole: ["Whole", "Show both flat hemispheres"],
};

export class Controls {
  constructor(part, actions) {
    this.layouts = Object.entries(LAYOUTS).map(([name, label]) => {
      return [name, button(label, () => actions.setLayout(name), { pressed: false })];
    });
    part("layouts").append(...this.layouts.map(([, element]) => element));
    for (const [name, [label, title]] of Object.entries(PRESETS))
      part("views").append(button(label, () => actions.goTo(name), { title }));
    for (const [name, [label, title]] of Object.entries(FLAT_PARTS))
      part("flatviews").append(button(label, () => actions.showFlat(name), { title }));

    this.unfold = part("unfold").querySelector("input");
    this.shape = part("shape");
    this.unfold.addEventListener("input", () => {
      const stop = Math.round(this.unfold.value);
      actions.unfold(Math.abs(this.unfold.value - stop) < 0.06 ? stop : Number(this.unfold.value));
    });
    this.names = part("names");
    this.names.addEventListener("click", actions.toggleNames);
    part("enlarge").addEventListener("click", actions.enlarge);
    part("save").addEventListener("click", actions.save);
    this.regions = part("regions");
    this.regions.addEventListener("change", () => actions.selectRegion(this.regions.value || null));
  }

  showLayout(layout) {
    for (const [name, element] of this.layouts) press(element, layout === name);
  }

  // names: whether outlines and names of regions are shown.
  showNames(names) {
    press(this.names, names);
  }

  // shape: 0 pial, 1 white, 2 inflated, 3 flat, and all between.
  showShape(shape) {
    if (Math.abs(this.unfold.value - shape) > 0.001) this.unfold.value = String(shape);
    this.shape.textContent = SHAPES[Math.round(shape)];
    this.unfold.setAttribute("aria-valuetext", SHAPES[Math.round(shape)]);
  }

  setRegions(names, selected) {
    fill(this.regions, ["", ...names], selected ?? "");
    this.regions.firstChild.textContent = "Region";
    this.regions.hidden = !names.length;
    this.names.hidden = !names.length;
  }

  showRegion(selected) {
    this.regions.value = selected ?? "";
  }
}
