// The controls of what is painted: which map, and from which score on.
// MapSwitch takes part(name), the view's elements, and {choose(name), pass(name), rest()}: a map chosen, one that is
// shown in passing while a series plays, and the end of that. ThresholdSlider takes its element and changed(score, final).

import { button, press } from "./elements.js";

const FEW = 4; // maps of a group that have a button each
const STEP_MS = 400; // a map of a series that plays
const number = (n) => n.toLocaleString("en-GB");

// One button a group of maps; within a group a button each, of many a slider.
export class MapSwitch {
  constructor(part, actions) {
    Object.assign(this, { part, actions, groups: new Map() });
    this.last = new Map(); // group -> name of the map shown last
    this.range = part("series").querySelector("input"); // the maps of a group, one after the other
    this.range.addEventListener("input", () =>
      actions.choose(this.groups.get(this.chosen.group)[Number(this.range.value)].name),
    );
    this.play = part("series").querySelector("button"); // through the group, from its start again after its end
    this.play.addEventListener("click", () => (this.playing ? this.stop() : this.start()));
  }

  start() {
    const { group } = this.chosen;
    this.showPlaying(true);
    this.playing = setInterval(() => {
      if (!this.play.isConnected || this.chosen.group !== group) return this.stop();
      const maps = this.groups.get(group);
      return this.actions.pass(maps[(maps.findIndex((map) => map.name === this.chosen.name) + 1) % maps.length].name);
    }, STEP_MS);
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    this.actions.rest();
    this.showPlaying(false);
  }

  showPlaying(playing) {
    this.play.textContent = playing ? "❚❚" : "▶";
    press(this.play, playing);
  }

  // groups: {name: maps}; single: the page has chosen, so that there is nothing to switch.
  setMaps(groups, single) {
    const names = JSON.stringify([...groups].map(([group, maps]) => [group, maps.map((map) => map.name)]));
    if (names === this.names) return;
    Object.assign(this, { names, groups });
    const maps = [...groups.values()].flat(),
      box = this.part("maps");
    box.replaceChildren();
    this.part("choose").hidden = maps.length < 2 || single;
    if (maps.length < 2) return;
    for (const [group, members] of groups) {
      const choose = () => {
        const same = members.find((map) => map.name === this.last.get(group)) ?? members[0];
        this.actions.choose(same.name);
      };
      const element = button(group, choose, { pressed: false });
      element.dataset.group = group;
      box.append(element);
    }
  }

  // The chosen map.
  show(chosen) {
    const { part, range } = this,
      maps = this.groups.get(chosen.group);
    this.chosen = chosen;
    this.last.set(chosen.group, chosen.name);
    for (const element of part("maps").querySelectorAll("button")) press(element, element.dataset.group === chosen.group);
    part("series").hidden = maps.length < 2;
    const few = maps.length <= FEW;
    part("series").classList.toggle("buttons", few);
    if (few) this.showFew(chosen, maps);
    range.max = String(maps.length - 1);
    range.value = String(maps.findIndex((map) => map.name === chosen.name));
    range.setAttribute("aria-label", chosen.group);
    range.setAttribute("aria-valuetext", chosen.name);
    part("series").querySelector("span").textContent = chosen.name;
  }

  showFew(chosen, maps) {
    const box = this.part("few"),
      names = JSON.stringify(maps.map((map) => map.name));
    if (box.dataset.names !== names) {
      box.dataset.names = names;
      box.setAttribute("aria-label", chosen.group);
      box.replaceChildren(
        ...maps.map(({ name }) => button(name, () => this.actions.choose(name), { pressed: false })),
      );
    }
    for (const element of box.children) press(element, element.textContent === chosen.name);
  }
}

// The slider of the least score; final: the hand has let go.
export class ThresholdSlider {
  constructor(box, changed) {
    Object.assign(this, { box, slider: box.querySelector("input"), score: null });
    for (const [event, final] of [
      ["input", false],
      ["change", true],
    ])
      this.slider.addEventListener(event, () => changed(this.value, final));
  }

  // null where the slider stands at its start: no threshold.
  get value() {
    const code = Number(this.slider.value);
    return code === 0 ? null : this.score.low + this.score.step * code;
  }

  // score: {label, low, step} of its bytes, or null.
  setScore(score) {
    this.score = score;
    this.box.hidden = !score;
  }

  // least: score byte from which on vertices are shown; shown of total are.
  show(least, { shown, total }) {
    const { score, box } = this;
    if (!score) return;
    this.slider.value = String(least);
    const value = (score.low + score.step * least).toFixed(2).replace("-", "−");
    box.querySelector(".what").textContent = least ? `${score.label} ≥ ${value}` : `${score.label}: all`;
    this.slider.setAttribute("aria-label", `Show vertices whose ${score.label} is at least`);
    box.querySelector(".count").innerHTML =
      total ? `${number(shown)} of ${number(total)}<span class="wide"> vertices shown</span>` : "";
  }
}
