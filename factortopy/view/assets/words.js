// What a view says in words about a vertex, a region, and what is selected.
// Takes maps (maps.js), those that are shown (shown.js) and names; gives texts.

import { TOP, UNPAINTED } from "./maps.js";

const minus = (text) => text.replace("-", "−");

function decoded(code, { low, high, decimals, unit }, top = TOP) {
  return minus((low + (code / top) * (high - low)).toFixed(decimals)) + (unit ? (unit === "°" ? "°" : ` ${unit}`) : "");
}

// "layer 3 of 12 · confidence 0.41": what a map says about a vertex; bytes: value, second value, alpha.
function describe(map, [value, second, alpha], shown) {
  const { words } = map;
  if (value === UNPAINTED) return "no data here, or not predicted above chance";
  const parts = [];
  if (words.names) parts.push(words.names[value] ?? `${words.label} ${value}`);
  else if (map.kind === "plane") {
    const at = (code) => words.low + (code / TOP) * (words.high - words.low);
    const side = (v, low, high) =>
      `${minus(Math.abs(v).toFixed(words.decimals))}${words.unit ?? ""} ${v < 0 ? low : high}`;
    parts.push(`${words.label} ${side(at(value), "left", "right")}, ${side(at(second), "up", "down")}`);
  } else parts.push(`${words.label} ${decoded(value, words)}`);
  if (words.alpha) {
    const more = words.alpha.open && alpha === 255 ? " or more" : "";
    parts.push(`${words.alpha.label} ${decoded(alpha, words.alpha, 255)}${more}`);
  }
  if (!shown) parts.push("below the threshold");
  return parts.join(" · ");
}

// "left vertex 831"
const placeName = (vertex, n) => (vertex < n ? `left vertex ${vertex}` : `right vertex ${vertex - n}`);

// All that can be said about a vertex; regions: names of those that hold it; n: vertices of a hemisphere.
export function vertexWords(vertex, shown, regions, n) {
  const { score, scores, current } = shown;
  const parts = [current, shown.other].filter(Boolean).map((map) => {
    return describe(map, map.bytes.subarray(4 * vertex, 4 * vertex + 3), shown.reaches(map, vertex));
  });
  if (regions.length) parts.push(regions.slice(0, 3).join(", "));
  const code = scores[vertex];
  if (score && code !== UNPAINTED && current.words.label !== score.label)
    parts.push(`${score.label} ${minus((score.low + score.step * code).toFixed(2))}`);
  parts.push(placeName(vertex, n));
  return parts.join(" · ");
}

export const regionWords = (name, count, selected) =>
  selected ? `${name} is selected` : `click selects all of ${name} (${count.toLocaleString("en-GB")} vertices)`;

// For screen readers: what is selected, and on which map; vertex: its words, or "".
export function selectionWords(title, region, vertex) {
  const parts = [`Map: ${title.split(" · ")[0]}`];
  if (region !== null) parts.push(`Region: ${region}`);
  if (vertex) parts.push(`Selected: ${vertex}`);
  return `${parts.join(". ")}.`;
}
