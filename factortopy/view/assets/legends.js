// Legends of maps, drawn into 2D canvases.
// Takes a map (maps.js) with its palette and legend, a canvas, and how many pixels it has for one of the page.

import { DARKEST } from "./maps.js";

const GREY = [104, 106, 110];
const INK = "#e6e9ee",
  SOFT = "#9aa3b0";
const css = ([r, g, b]) => `rgb(${Math.round(r)},${Math.round(g)},${Math.round(b)})`;

function shade(map, k, alpha) {
  const colour = [0, 1, 2].map((c) => map.palette[3 * k + c]);
  return map.fade === "dark"
    ? colour.map((v) => v * (DARKEST + (1 - DARKEST) * alpha))
    : colour.map((v, c) => GREY[c] + (v - GREY[c]) * alpha);
}

// Whether one legend holds for both maps: the same words, scale and colours.
export function sameLegend(a, b) {
  const content = ({ kind, fade, legend, words, palette }) =>
    JSON.stringify([kind, fade, legend, words, [...palette]]);
  return content(a) === content(b);
}

// Shows the legend of a map in a canvas, with words for screen readers; none for no map.
export function showLegend(canvas, map, ratio) {
  canvas.hidden = !map;
  if (!map) return;
  canvas.setAttribute("aria-label", drawLegend(canvas, map, ratio));
  canvas.title = map.legend.note ?? "";
}

// Draws into a canvas, resizing it; returns what a screen reader says.
function drawLegend(canvas, map, ratio) {
  const { legend } = map,
    draw = SHAPES[legend.shape] ?? SHAPES.strip;
  const [w, h] = draw.size(map);
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  canvas.style.width = `${w}px`;
  canvas.style.height = `${h}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.textBaseline = "alphabetic";
  draw.paint(pen, map, w, h);
  const ends = [legend.low, legend.high, legend.top, legend.bottom].filter(Boolean).join(", ");
  return `Legend: ${legend.label}${ends ? ` (${ends})` : ""}. ${legend.note ?? ""}`;
}

// As much of the words as has room, with … for the rest.
function cut(pen, words, width) {
  if (pen.measureText(words).width <= width) return words;
  let most = words.length - 1;
  while (most > 1 && pen.measureText(`${words.slice(0, most)}…`).width > width) most--;
  return `${words.slice(0, most).trimEnd()}…`;
}

function text(pen, words, x, y, { align = "left", size = 11, colour = INK, weight = 400, width } = {}) {
  pen.font = `${weight} ${size}px "Source Sans", "Source Sans Pro", system-ui, sans-serif`;
  pen.textAlign = align;
  pen.fillStyle = colour;
  pen.fillText(width ? cut(pen, String(words), width) : String(words), x, y);
}

function cells(pen, map, x, y, w, h, columns, rows) {
  for (let row = 0; row < rows; row++) {
    const alpha = rows > 1 ? 1 - row / (rows - 1) : 1;
    for (let column = 0; column < columns; column++) {
      const k = columns > 1 ? Math.round((column / (columns - 1)) * (map.palette.length / 3 - 1)) : 0;
      pen.fillStyle = css(shade(map, k, alpha));
      pen.fillRect(x + (column * w) / columns, y + (row * h) / rows, w / columns + 0.6, h / rows + 0.6);
    }
  }
}

function ticks(pen, legend, x, y, w) {
  for (const [at, label] of legend.ticks ?? []) {
    text(pen, label, x + at * w, y, { align: at === 0 ? "left" : at === 1 ? "right" : "center" });
  }
}

// The picture plane: colours where they lie, faint towards the border of the square when they fade.
function plane(pen, map, x, y, w) {
  const n = Math.round(Math.sqrt(map.palette.length / 3));
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      pen.fillStyle = css(shade(map, row * n + column, 1));
      pen.fillRect(x + (column * w) / n, y + (row * w) / n, w / n + 0.6, w / n + 0.6);
    }
  }
}

function around(pen, legend, x, y, w) {
  text(pen, legend.top, x + w / 2, y - 5, { align: "center", colour: SOFT });
  text(pen, legend.bottom, x + w / 2, y + w + 13, { align: "center", colour: SOFT });
  text(pen, legend.low, x - 5, y + w / 2 + 4, { align: "right", colour: SOFT });
  text(pen, legend.high, x + w + 5, y + w / 2 + 4, { colour: SOFT });
}

const ROWS = 5; // of swatches; the rest is counted

const SHAPES = {
  grid: {
    size: () => [212, 110],
    paint(pen, map, w) {
      const { legend } = map,
        side = legend.side,
        n = map.palette.length / 3;
      text(pen, legend.label, 50, 12, { weight: 600 });
      cells(pen, map, 50, 20, w - 58, 56, n, 8);
      ticks(pen, legend, 50, 90, w - 58);
      text(pen, legend.low, 50, 104, { colour: SOFT });
      text(pen, legend.high, w - 8, 104, { colour: SOFT, align: "right" });
      text(pen, side.high, 46, 29, { align: "right" });
      text(pen, side.low, 46, 76, { align: "right" });
      pen.save();
      pen.translate(14, 78);
      pen.rotate(-Math.PI / 2);
      text(pen, side.label, 0, 0, { colour: SOFT });
      pen.restore();
    },
  },
  strip: {
    size: ({ legend }) => [196, legend.low || legend.high ? (stacked(legend) ? 80 : 66) : 52],
    paint(pen, map, w) {
      const { legend } = map;
      text(pen, legend.label, 8, 12, { weight: 600, width: w - 16 });
      cells(pen, map, 8, 19, w - 16, 12, w - 16, 1);
      ticks(pen, legend, 8, 44, w - 16);
      text(pen, legend.low, 8, 58, { colour: SOFT, width: w - 16 });
      const below = stacked(legend) ? 14 : 0;
      text(pen, legend.high, w - 8, 58 + below, { colour: SOFT, align: "right", width: w - 16 });
    },
  },
  square: {
    size: () => [164, 116],
    paint(pen, map) {
      text(pen, map.legend.label, 8, 12, { weight: 600 });
      plane(pen, map, 38, 30, 68);
      around(pen, map.legend, 38, 30, 68);
    },
  },
  wheel: {
    size: () => [164, 116],
    paint(pen, map) {
      const { legend } = map,
        n = map.palette.length / 3;
      text(pen, legend.label, 8, 12, { weight: 600 });
      for (let k = 0; k < 180; k++) {
        const from = (-2 * Math.PI * k) / 180,
          to = (-2 * Math.PI * (k + 1.2)) / 180; // counter-clockwise from the right
        pen.fillStyle = css(shade(map, Math.round((k / 180) * (n - 1)), 1));
        pen.beginPath();
        pen.arc(72, 64, 34, from, to, true);
        pen.arc(72, 64, 15, to, from, false);
        pen.fill();
      }
      around(pen, legend, 38, 30, 68);
    },
  },
  swatches: {
    size: ({ legend }) => [196, 26 + Math.min(ROWS, Math.ceil(legend.names.length / columnsOf(legend))) * 16],
    paint(pen, map, w) {
      const { legend } = map,
        columns = columnsOf(legend),
        names = legend.names.slice(0, ROWS * columns),
        step = (w - 12) / columns;
      const rest = legend.names.length - names.length;
      text(pen, legend.label + (rest > 0 ? ` (${rest} more)` : ""), 8, 12, { weight: 600, width: w - 16 });
      names.forEach((name, k) => {
        const x = 8 + (k % columns) * step,
          y = 20 + Math.floor(k / columns) * 16;
        pen.fillStyle = css(shade(map, k, 1));
        pen.fillRect(x, y + 1, 10, 10);
        text(pen, name, x + 14, y + 10, { width: step - 17 });
      });
    },
  },
};

// Words at the ends that are too long for one line.
const stacked = ({ low, high }) => `${low ?? ""}${high ?? ""}`.length > 30;

// Names in a row: as many as can be read.
function columnsOf(legend) {
  const longest = Math.max(...legend.names.map((name) => name.length));
  return longest <= 2 ? 5 : longest <= 9 ? 3 : 1;
}
