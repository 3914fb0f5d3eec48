// What is painted: which map, from which score on, beside which other map; its title and legends, the controls of all that.
// Takes part(name), the view's elements, the stage, the drawing, and {report(state, value), speak(), notice(words)}; then
// messages and the visitor's choices {map, threshold, compare}, which it changes.

import { Compare, CompareButtons } from "./compare.js";
import { Dividers } from "./dividers.js";
import { flatFocus, legendsZoom, steady } from "./layout.js";
import { showLegend } from "./legends.js";
import { ShownMaps } from "./shown.js";
import { MapSwitch, ThresholdSlider } from "./switch.js";

export class Painting {
  constructor(part, stage, drawing, actions) {
    Object.assign(this, { part, stage, drawing, actions });
    this.shown = new ShownMaps();
    this.compare = new Compare(() => this.show(this.shown.base.name));
    const ready = (action) => (...values) => this.isReady && action(...values);
    this.mapSwitch = new MapSwitch(part, {
      choose: ready((name) => this.choose(name)),
      pass: ready((name) => this.pass(name)),
      rest: ready(() => actions.report("map", this.shown.base.name)),
    });
    this.buttons = new CompareButtons(
      part("compare"),
      ready((change) => this.compare.set(change)),
    );
    this.slider = new ThresholdSlider(
      part("threshold"),
      ready((score, final) => this.setThreshold(score, { final })),
    );
    this.dividers = new Dividers(
      stage,
      { surface: part("divider-surface"), flat: part("divider-flat") },
      ready((share) => this.divide(share)),
    );
  }

  get isReady() {
    return Boolean(this.drawing.maps);
  }

  receive(message, arrays, choices) {
    const { shown, stage } = this,
      { geometry } = this.drawing,
      { heading, comparing, swipe, score } = message;
    const moved = message.scoreStamp !== shown.scoreStamp; // other vertices may be painted
    Object.assign(this, { heading, comparing, choices });
    this.compare.state = choices.compare ??= { mode: swipe ? "swipe" : "", other: swipe, at: 0.5 };
    shown.read(message, arrays, geometry.count);
    if (moved || !stage.focus) stage.focus = steady(stage.focus, flatFocus(geometry, shown.support));
    const { groups } = shown;
    stage.rows = [...groups.values()].some((maps) => maps.length > 1) ? 2 : 1; // a series has a row of its own
    this.slider.setScore(score);
    this.mapSwitch.setMaps(groups, comparing === false && Boolean(swipe));
  }

  // ---------------------------------------------------------------- maps

  // Shows the map of a name, else the first.
  show(name) {
    const start = performance.now(),
      { shown, part, drawing, stage } = this;
    shown.choose(name, this.compare);
    const { preview } = drawing.geometry, // its folding detail is interpolated
      { title, secondLegend } = shown;
    part("title").textContent = this.heading || title + (preview ? " · preview surface" : "");
    part("title").title = preview ? `${title} (${preview})` : title;
    stage.canvas.setAttribute(
      "aria-label",
      `Brain. ${title}. Arrow keys turn, plus and minus zoom, 0 resets, Enter selects the place in the middle.`,
    );
    const ratio = Math.min(2, devicePixelRatio || 1) + 0.5;
    showLegend(part("legend"), shown.current, ratio);
    showLegend(part("second"), secondLegend, ratio);
    stage.legends = secondLegend ? 2 : 1;
    this.lay();
    this.applyThreshold();
    this.mapSwitch.show(shown.base);
    this.showCompare();
    if (!drawing.stats.frames) return drawing.request();
    drawing.draw();
    drawing.stats.switchMs = performance.now() - start;
    return undefined;
  }

  choose(name) {
    this.pass(name);
    this.actions.report("map", name);
    this.actions.speak();
  }

  // Shows a map that Python does not hear of yet.
  pass(name) {
    this.choices.map = name;
    this.show(name);
  }

  // The legends' canvases that are shown.
  get legends() {
    return [this.part("legend"), this.part("second")].filter((one) => !one.hidden);
  }

  // What lies over the canvas: legends in their size, the handles between two maps.
  lay() {
    const widths = this.legends.map((one) => parseFloat(one.style.width) || 0),
      zoom = legendsZoom(this.stage, widths);
    for (const one of this.legends) one.style.zoom = String(zoom);
    this.placeDividers();
    this.drawing.request();
  }

  // ---------------------------------------------------------------- two maps

  showCompare() {
    const names = (mode) => this.compare.partners(this.shown, mode).map((map) => map.name);
    const partners = this.comparing === false ? {} : { swipe: names("swipe"), difference: names("difference") };
    this.buttons.show(this.compare.state, partners);
  }

  // share: of each panel left of the line between two maps.
  divide(share) {
    this.compare.state.at = share;
    this.placeDividers();
    this.drawing.request();
  }

  placeDividers() {
    this.dividers.place(this.compare.split, this.shown.base.name, this.compare.state.other);
  }

  // ---------------------------------------------------------------- the threshold

  setThreshold(threshold, { final }) {
    this.choices.threshold = threshold;
    this.applyThreshold();
    this.drawing.request();
    if (final) this.actions.report("threshold", threshold);
  }

  applyThreshold() {
    const { shown, actions } = this;
    shown.setThreshold(this.choices.threshold ?? null);
    this.drawing.paint(shown);
    const count = shown.count();
    this.slider.show(shown.least, count);
    if (count.total === 0) actions.notice("No vertex of this map is predicted above chance, so nothing is painted.");
    else actions.notice(count.shown === 0 ? "No vertex reaches this threshold. Lower it to see the map." : "");
  }
}
