// Maps as the browser holds them: bytes of every vertex, their colours, the difference of two.
// Takes a message of factortopy/view/message.py; gives its maps with `bytes` and `palette`, and what is computed from those.

export const UNPAINTED = 255;
export const TOP = 254; // the byte of the highest value
export const DARKEST = 0.22; // as in brainmap.py

// The maps of a message; their bytes (value, second value, alpha, 0 for each vertex of the mesh) are computed when first
// used, from those of the vertices that any map paints.
export function readMaps(message, arrays, count) {
  return message.maps.map((map, m) => {
    let bytes = null;
    const planes = map.kind === "plane" ? 2 : 1;
    return Object.defineProperty({ ...map, palette: arrays[`palette${m}`] }, "bytes", {
      get: () => (bytes ??= spread(arrays[`map${m}`], planes, arrays.support, count)),
    });
  });
}

function spread(source, planes, support, count) {
  const n = support.length,
    bytes = new Uint8Array(4 * count),
    hasAlpha = source.length > planes * n;
  for (let v = 0; v < count; v++) bytes[4 * v] = UNPAINTED;
  for (let k = 0; k < n; k++) {
    const at = 4 * support[k];
    bytes[at] = source[k];
    bytes[at + 1] = planes === 2 ? source[n + k] : 0;
    bytes[at + 2] = hasAlpha ? source[planes * n + k] : 255;
  }
  return bytes;
}

// Whether a vertex is painted and reaches the threshold; the same rule as BrainMap.shown.
export const isShown = (map, vertex, scores, least) =>
  map.bytes[4 * vertex] !== UNPAINTED && (!least || (scores[vertex] !== UNPAINTED && scores[vertex] >= least));

// RGBA of every vertex, opacity 0 where nothing is shown; as BrainMap.colours.
export function vertexColours(map, support, scores, least) {
  const { bytes, palette } = map,
    out = new Uint8Array(bytes.length),
    n = palette.length / 3;
  const side = map.kind === "plane" ? Math.round(Math.sqrt(n)) : n,
    dark = map.fade === "dark";
  for (let i = 0; i < support.length; i++) {
    const v = support[i];
    if (!isShown(map, v, scores, least)) continue;
    const at = 4 * v,
      value = bytes[at],
      alpha = bytes[at + 2];
    let k = value < n ? value : n - 1;
    if (map.kind !== "category") k = Math.round((value / TOP) * (side - 1));
    if (map.kind === "plane") k += side * Math.round((bytes[at + 1] / TOP) * (side - 1));
    const bright = dark ? DARKEST + ((1 - DARKEST) * alpha) / 255 : 1;
    for (let c = 0; c < 3; c++) out[at + c] = Math.round(palette[3 * k + c] * bright);
    out[at + 3] = dark ? 255 : alpha;
  }
  return out;
}

// ---------------------------------------------------------------- differences

// Values that may be subtracted: of one unit, and where there is none of one quantity; angles wrap round.
export function canSubtract(a, b) {
  const plain = (map) => map.kind === "value" && map.legend.shape === "strip";
  if (a === b || !plain(a) || !plain(b) || a.words.unit !== b.words.unit) return false;
  return Boolean(a.words.unit) || a.group === b.group || a.words.label === b.words.label;
}

const valueOf = (code, { low, high }) => low + (code / TOP) * (high - low);
const what = (map) => map.title.split(" · ")[0];
const number = (value, decimals) => String(Number(value.toFixed(decimals))).replace("-", "−");

// `top` rounded up to 1, 1.5, 2, 3, 5, 7 or 10 times a power of ten; as in maps.py.
function nice(top) {
  if (!(top > 1e-6)) return 1e-6;
  const power = 10 ** Math.floor(Math.log10(top));
  return power * [1, 1.5, 2, 3, 5, 7, 10].find((step) => step * power >= top * (1 - 1e-9));
}

// first − second as a map of its own, symmetric about 0; what either leaves unpainted stays grey.
export function difference(first, second, support, palette) {
  const values = new Float32Array(support.length).fill(NaN),
    bytes = new Uint8Array(first.bytes.length);
  support.forEach((v, k) => {
    const a = first.bytes[4 * v],
      b = second.bytes[4 * v];
    if (a !== UNPAINTED && b !== UNPAINTED) values[k] = valueOf(a, first.words) - valueOf(b, second.words);
  });
  const sizes = values.filter((value) => !Number.isNaN(value)).map(Math.abs).sort();
  const high = nice(sizes.length ? sizes[Math.floor(0.99 * (sizes.length - 1))] : 1),
    low = -high;
  for (let at = 0; at < bytes.length; at += 4) bytes[at] = UNPAINTED;
  support.forEach((v, k) => {
    if (Number.isNaN(values[k])) return;
    bytes[4 * v] = Math.round(Math.min(1, Math.max(0, (values[k] - low) / (high - low))) * TOP);
    bytes[4 * v + 2] = 255;
  });
  const decimals = Math.min(4, Math.max(0, 2 - Math.ceil(Math.log10(2 * high))));
  const names = `${first.name} minus ${second.name}`,
    { unit } = first.words,
    context = first.title.split(" · ").slice(1, -1);
  const count = `${sizes.length.toLocaleString("en-GB")} vertices`;
  return {
    ...first,
    name: names,
    title: [`${what(first)} minus ${what(second)}`, ...context, count].join(" · "),
    stamp: `${first.stamp}-${second.stamp}`,
    fade: "dark",
    bytes,
    palette,
    words: { label: `difference (${names})`, unit, low, high, decimals, names: null },
    legend: {
      shape: "strip",
      label: `difference${unit ? ` (${unit})` : ""}`,
      ticks: [
        [0, number(low, decimals)],
        [0.5, "0"],
        [1, number(high, decimals)],
      ],
      low: `more: ${second.name}`,
      high: `more: ${first.name}`,
      note: "grey: not painted in both maps",
    },
  };
}

// The title of two maps left and right of the divider.
export const swipeTitle = (first, second) =>
  [`Left: ${what(first)}`, `right: ${what(second)}`, ...first.title.split(" · ").slice(1, -1)].join(" · ");
