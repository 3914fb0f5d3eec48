// Which of a message's maps are shown, and which of their vertices: the chosen map, one right of a divider, a threshold.
// Takes a message with its arrays, the name of a map, a threshold; gives maps (maps.js), counts and colours.

import { UNPAINTED, isShown, readMaps, swipeTitle, vertexColours } from "./maps.js";
import { sameLegend } from "./legends.js";

export class ShownMaps {
  constructor() {
    this.maps = [];
    this.base = null; // the chosen map
    this.current = null; // what is drawn: the chosen map, or its difference from another
    this.other = null; // the map right of the divider
    this.least = 0; // score byte of the threshold
  }

  // count: vertices of the whole mesh.
  read(message, arrays, count) {
    this.support = arrays.support; // the vertices that any map paints
    this.differencePalette = arrays.differencePalette;
    this.score = message.score; // {label, low, step} or null
    this.scoreStamp = message.scoreStamp;
    this.scores = new Uint8Array(count).fill(UNPAINTED);
    if (arrays.score) this.support.forEach((v, k) => (this.scores[v] = arrays.score[k]));
    this.maps = readMaps(message, arrays, count);
  }

  // {group: its maps}
  get groups() {
    const groups = new Map();
    for (const map of this.maps) groups.set(map.group, [...(groups.get(map.group) ?? []), map]);
    return groups;
  }

  // Shows the map of a name, else the first; compare (compare.js) says which other map it stands beside.
  choose(name, compare) {
    this.base = this.maps.find((map) => map.name === name) ?? this.maps[0];
    [this.current, this.other] = compare.pair(this);
  }

  // The map whose legend stands beside that of `current`; null where one legend holds for both.
  get secondLegend() {
    return this.other && !sameLegend(this.current, this.other) ? this.other : null;
  }

  get title() {
    return this.other ? swipeTitle(this.current, this.other) : this.current.title;
  }

  // The least score byte that is shown, 0 for all; the same rule as BrainMap.shown.
  setThreshold(threshold) {
    const { score } = this;
    if (!score || threshold === null) this.least = 0;
    else this.least = Math.min(254, Math.max(0, Math.ceil((threshold - score.low) / (score.step || 1) - 1e-6)));
  }

  reaches(map, vertex) {
    return isShown(map, vertex, this.scores, this.least);
  }

  // How many vertices of the map there are, and are shown.
  count() {
    const { bytes } = this.current;
    let total = 0,
      shown = 0;
    for (const vertex of this.support) {
      if (bytes[4 * vertex] === UNPAINTED) continue;
      total++;
      if (this.reaches(this.current, vertex)) shown++;
    }
    return { shown, total };
  }

  // What the colours depend on but for the threshold.
  get stamp() {
    return [this.current.stamp, this.other?.stamp, this.scoreStamp].join();
  }

  // [{rgba, smooth}] of the map and of the one right of the divider, as Scene.setColours takes them.
  colours() {
    return [this.current, this.other].filter(Boolean).map((map) => ({
      rgba: vertexColours(map, this.support, this.scores, this.least),
      smooth: map.kind !== "category",
    }));
  }
}
