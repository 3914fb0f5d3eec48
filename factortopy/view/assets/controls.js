// The controls around the canvas: map switch, layout, unfolding, threshold, standard views.

import { MODES } from "./compare.js";

const SHAPES = ["pial", "white", "inflated", "flat"];
const PRESETS = {
  start: "Start",
  back: "Back",
  below: "Below",
  left: "Left",
  right: "Right",
  top: "Top",
  inside: "Open",
};
const LAYOUTS = { both: "Both", surface: "Surface", flat: "Flat" };
const number = (n) => n.toLocaleString("en-GB");

function button(label, onClick, { title = "", pressed = null } = {}) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  if (title) made.title = title;
  if (pressed !== null) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", onClick);
  return made;
}

// Puts options into a select element, unless it has them.
function fill(select, names, value) {
  if (JSON.stringify([...select.options].map((one) => one.value)) !== JSON.stringify(names))
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = value ?? "";
}

export function buildControls(view) {
  const { part } = view;
  const layouts = Object.entries(LAYOUTS).map(([name, label]) => [
    name,
    button(label, () => view.setLayout(name), { pressed: false }),
  ]);
  part("layouts").append(...layouts.map(([, made]) => made));
  const ready = (action) => () => view.current && action();
  for (const [name, label] of Object.entries(PRESETS))
    part("views").append(
      button(
        label,
        ready(() => view.steering.goTo(name)),
        { title: TITLES[name] },
      ),
    );
  part("flatviews").append(
    button(
      "Visual cortex",
      ready(() => view.steering.showFlat("part")),
      { title: "Show the part of the flat map that is painted" },
    ),
    button(
      "Whole",
      ready(() => view.steering.showFlat("whole")),
      { title: "Show both flat hemispheres" },
    ),
  );

  const unfold = part("unfold").querySelector("input");
  unfold.addEventListener(
    "input",
    ready(() => {
      const stop = Math.round(unfold.value);
      view.camera.shape = Math.abs(unfold.value - stop) < 0.06 ? stop : Number(unfold.value);
      view.moved();
    }),
  );

  const threshold = part("threshold"),
    slider = threshold.querySelector("input");
  const setThreshold = (final) => () => {
    const { score } = view.message,
      code = Number(slider.value);
    view.setThreshold(code === 0 ? null : score.low + score.step * code, { final });
  };
  slider.addEventListener("input", setThreshold(false));
  slider.addEventListener("change", setThreshold(true));

  part("names").addEventListener(
    "click",
    ready(() => {
      view.choices.names = view.choices.names === false;
      controls.update();
      view.request();
    }),
  );
  part("enlarge").addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : view.root.requestFullscreen?.(),
  );
  part("save").addEventListener(
    "click",
    ready(() => view.save()),
  );

  const compareButtons = Object.entries(MODES).map(([name, label]) => [
    name,
    button(
      label,
      ready(() => view.compare.set({ mode: view.compare.state.mode === name ? "" : name })),
      { pressed: false, title: TITLES[name] },
    ),
  ]);
  const partner = document.createElement("select"); // the other map
  partner.addEventListener("change", () => view.compare.set({ other: partner.value }));
  part("compare").append(...compareButtons.map(([, made]) => made), partner);

  const regions = part("regions");
  regions.addEventListener(
    "change",
    ready(() => view.selectRegion(regions.value || null)),
  );

  const range = part("series").querySelector("input"); // the maps of a group, one after the other
  range.addEventListener("input", () =>
    view.chooseMap(controls.groups.get(view.base.group)[Number(range.value)].name),
  );
  const play = part("series").querySelector("button"); // through the group, from its start again after its end
  const stop = () => {
    clearInterval(controls.playing);
    controls.playing = null;
    view.send("map", view.base.name);
    play.textContent = "▶";
    play.setAttribute("aria-pressed", "false");
  };
  play.addEventListener("click", () => {
    if (controls.playing) return stop();
    const { group } = view.base;
    play.textContent = "❚❚";
    play.setAttribute("aria-pressed", "true");
    controls.playing = setInterval(() => {
      if (!view.root.isConnected || view.base.group !== group) return stop();
      const maps = controls.groups.get(group);
      const { name } = maps[(maps.findIndex((map) => map.name === view.base.name) + 1) % maps.length];
      view.choices.map = name; // told to the page when it stops, not at every step
      view.showMap(name);
    }, STEP_MS);
  });

  const controls = {
    last: new Map(), // group -> the map shown last

    // Which buttons are pressed, which parts are there.
    update() {
      for (const [name, made] of layouts) made.setAttribute("aria-pressed", String(view.layout === name));
      part("names").setAttribute("aria-pressed", String(view.choices.names !== false));
      threshold.hidden = !view.message.score;
      view.root.dataset.layout = view.layout;
      this.buildSwitch();
      this.showShape();
    },

    // One button a group of maps; within a group a button each, of many a slider.
    buildSwitch() {
      const groups = new Map();
      for (const map of view.maps) groups.set(map.group, [...(groups.get(map.group) ?? []), map]);
      const names = JSON.stringify([...groups].map(([group, maps]) => [group, maps.map((map) => map.name)]));
      if (names === this.names) return;
      this.names = names;
      this.groups = groups;
      const box = part("maps");
      box.replaceChildren();
      const { comparing, swipe } = view.message; // a page that has chosen both maps needs no switch
      part("choose").hidden = view.maps.length < 2 || (comparing === false && Boolean(swipe));
      if (view.maps.length < 2) return;
      for (const [group, maps] of groups) {
        const made = button(
          group,
          () => {
            const same = maps.find((map) => map.name === this.last.get(group)) ?? maps[0];
            view.chooseMap(same.name);
          },
          { pressed: false },
        );
        made.dataset.group = group;
        box.append(made);
      }
    },

    showMap() {
      const current = view.base,
        maps = this.groups.get(current.group);
      this.last.set(current.group, current.name);
      for (const made of part("maps").querySelectorAll("button"))
        made.setAttribute("aria-pressed", String(made.dataset.group === current.group));
      part("series").hidden = maps.length < 2;
      const few = maps.length <= FEW;
      part("series").classList.toggle("buttons", few);
      if (few) this.showFew(current, maps);
      range.max = String(maps.length - 1);
      range.value = String(maps.findIndex((map) => map.name === current.name));
      range.setAttribute("aria-label", current.group);
      range.setAttribute("aria-valuetext", current.name);
      part("series").querySelector("span").textContent = current.name;
      this.showCompare();
    },

    showFew(current, maps) {
      const box = part("few"),
        names = JSON.stringify(maps.map((map) => map.name));
      if (box.dataset.names !== names) {
        box.dataset.names = names;
        box.setAttribute("aria-label", current.group);
        box.replaceChildren(...maps.map((map) => button(map.name, () => view.chooseMap(map.name), { pressed: false })));
      }
      for (const made of box.children) made.setAttribute("aria-pressed", String(made.textContent === current.name));
    },

    // Which comparisons this map allows, and with which other map.
    showCompare() {
      const { mode, other } = view.compare.state;
      for (const [name, made] of compareButtons) {
        made.hidden = view.message.comparing === false || !view.compare.partners(name).length;
        made.setAttribute("aria-pressed", String(mode === name));
      }
      partner.hidden = !mode || view.message.comparing === false;
      const names = mode ? view.compare.partners(mode).map((map) => map.name) : [];
      fill(partner, names, other);
      partner.setAttribute("aria-label", mode === "swipe" ? "Map right of the divider" : "Map that is subtracted");
    },

    setRegions(names) {
      fill(regions, ["", ...names], view.selection.region ?? "");
      regions.firstChild.textContent = "Region";
      regions.hidden = !names.length;
    },

    showRegion() {
      regions.value = view.selection.region ?? "";
    },

    showShape() {
      if (!view.camera) return;
      const { shape } = view.camera;
      if (Math.abs(unfold.value - shape) > 0.001) unfold.value = String(shape);
      part("shape").textContent = SHAPES[Math.round(shape)];
      unfold.setAttribute("aria-valuetext", SHAPES[Math.round(shape)]);
    },

    showCount(shown, total) {
      const { score } = view.message,
        { least } = view;
      if (!score) return;
      slider.value = String(least);
      const value = (score.low + score.step * least).toFixed(2).replace("-", "−");
      threshold.querySelector(".what").textContent = least ? `${score.label} ≥ ${value}` : `${score.label}: all`;
      slider.setAttribute("aria-label", `Show vertices whose ${score.label} is at least`);
      threshold.querySelector(".count").innerHTML =
        total ? `${number(shown)} of ${number(total)}<span class="wide"> vertices shown</span>` : "";
    },
  };
  return controls;
}

const FEW = 4; // maps of a group that have a button each
const STEP_MS = 400; // a map of a series that plays

const TITLES = {
  start: "From behind and a little below, hemispheres opened",
  back: "From behind",
  below: "From below",
  left: "From the left",
  right: "From the right",
  top: "From above",
  swipe: "Two maps, left and right of a line that you can drag",
  difference: "This map minus another one",
  inside: "Opened like a book: the inner sides",
};
