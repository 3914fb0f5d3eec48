// What is pointed at and what is selected: a vertex, a region; in words, as rings and marks.

import { isShown, UNPAINTED } from "./maps.js";
import { tellOthers } from "./link.js";
import { describe, placeName } from "./words.js";

export class Selection {
  constructor(view) {
    Object.assign(this, { view, vertex: -1, hovered: -1, region: null });
  }

  // ---------------------------------------------------------------- a vertex

  select(vertex, { tell = true } = {}) {
    const { view } = this;
    if (!view.geometry) return;
    const known = Number.isInteger(vertex) && vertex >= 0 && vertex < view.geometry.count ? vertex : -1;
    if (known === this.vertex) return;
    this.vertex = known;
    view.root.dataset.vertex = String(known);
    this.speak();
    view.request();
    if (!tell) return;
    view.send("vertex", known);
    tellOthers(view, "select", known, { tell: false });
  }

  // A click: the vertex there, and the whole region when it was on the region's name (a second time: no longer).
  click(vertex, name = null) {
    this.selectRegion(name === this.region ? null : name);
    this.select(vertex);
  }

  marks() {
    if (this.vertex < 0) return [];
    const white = { vertex: this.vertex, colour: [1, 1, 1] };
    return [
      { ...white, size: 19, hollow: 0.62 },
      { ...white, size: 7, hollow: 0 },
    ];
  }

  // ---------------------------------------------------------------- a region

  // Highlights all of a region; a name that this view does not have is kept, and drawn when it comes.
  selectRegion(name, { tell = true } = {}) {
    const { view } = this,
      known = name || null;
    if (known === this.region) return;
    this.region = known;
    this.showRegion();
    this.speak();
    if (!tell) return;
    view.send("roi", known);
    tellOthers(view, "selectRegion", known, { tell: false });
  }

  showRegion() {
    const { view, region } = this;
    view.root.dataset.roi = region ?? "";
    view.scene?.setOutlines("chosen", region === null ? null : view.regions?.segmentsOf(region));
    view.labels.choose(region);
    view.controls.showRegion();
    view.request();
  }

  // ---------------------------------------------------------------- the pointer

  hover(vertex, x, y) {
    const { view } = this,
      name = x === undefined ? null : view.labels.at(x, y);
    if (vertex !== this.hovered) {
      this.showHovered(vertex);
      tellOthers(view, "showHovered", vertex);
    }
    const tip = view.part("tip");
    tip.hidden = vertex < 0 && !name;
    view.canvas.classList.toggle("over", vertex >= 0);
    view.canvas.classList.toggle("named", Boolean(name));
    if (tip.hidden) return;
    tip.textContent = [vertex < 0 ? "" : this.wordsFor(vertex), name ? this.wordsForRegion(name) : ""]
      .filter(Boolean)
      .join(" · ");
    const { offsetWidth: w, offsetHeight: h } = tip,
      { clientWidth: W, clientHeight: H } = view.canvas;
    const left = x + 16 + w > W ? x - 14 - w : x + 16,
      top = y + 18 + h > H ? y - 12 - h : y + 18;
    tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
  }

  // A ring where the hovered vertex is: elements over the canvas, so that hovering draws nothing anew.
  showHovered(vertex) {
    const { view } = this;
    this.hovered = vertex;
    const places = vertex >= 0 && view.current ? view.project(vertex) : [];
    for (const kind of ["surface", "flat"]) {
      const ring = view.part(`ring-${kind}`),
        place = places.find((one) => one.kind === kind && one.seen);
      ring.hidden = !place;
      if (place) ring.style.transform = `translate(${place.x}px, ${place.y}px)`;
    }
  }

  // ---------------------------------------------------------------- words

  wordsFor(vertex) {
    const { view } = this,
      { score } = view.message,
      parts = [];
    for (const map of [view.current, view.other]) {
      if (!map) continue;
      const code = map.bytes.subarray(4 * vertex, 4 * vertex + 3);
      parts.push(describe(map, code, isShown(map, vertex, view.scores, view.least)));
    }
    const regions = view.regions.names(vertex).slice(0, 3);
    if (regions.length) parts.push(regions.join(", "));
    const code = view.scores[vertex];
    if (score && code !== UNPAINTED && view.current.words.label !== score.label)
      parts.push(`${score.label} ${(score.low + score.step * code).toFixed(2).replace("-", "−")}`);
    parts.push(placeName(vertex, view.geometry.n));
    return parts.join(" · ");
  }

  wordsForRegion(name) {
    const count = this.view.regions.sizeOf(name).toLocaleString("en-GB");
    return name === this.region ? `${name} is selected` : `click selects all of ${name} (${count} vertices)`;
  }

  // For screen readers: what is selected, and on which map.
  speak() {
    const { view, region, vertex } = this;
    if (!view.current) return;
    const parts = [`Map: ${view.current.title.split(" · ")[0]}`];
    if (region !== null) parts.push(`Region: ${region}`);
    if (vertex >= 0) parts.push(`Selected: ${this.wordsFor(vertex)}`);
    view.part("spoken").textContent = `${parts.join(". ")}.`;
  }
}
