// Where the viewer stands, and where a point of the brain falls on the screen.
// Takes a camera (newCamera), panels (layout.js) and a geometry (geometry.js); gives poses and places, and the camera as a text.
// World: x to the subject's right, y forward, z up, in millimetres. Yaw 0 and pitch 0 look from behind, pitch > 0 from
// below.

import { FLAT } from "./geometry.js";

const RADIANS = Math.PI / 180;
const HINGE = 70; // the hemispheres open like a book around this y, in front
const FLAT_HALF = [335, 150]; // half the size of the flat map, in millimetres

// The right inflated hemisphere as an ellipsoid, in millimetres; the left one mirrors it.
const CENTRE = 43; // of x
const AXES = [42, 108, 73];
const MARGIN = [1.06, 1.12]; // what is left free beside and above it; brains are up to 10 % taller than ellipsoids

export const VIEWS = {
  start: { yaw: 0, pitch: 24, open: 8 },
  back: { yaw: 0, pitch: 0, open: 0 },
  below: { yaw: 0, pitch: 90, open: 0 },
  left: { yaw: -90, pitch: 0, open: 0 },
  right: { yaw: 90, pitch: 0, open: 0 },
  top: { yaw: 0, pitch: -90, open: 0 },
  inside: { yaw: 0, pitch: 8, open: 62 },
};

export const newCamera = () => ({ ...VIEWS.start, zoom: 1, x: 0, y: 0, shape: 2, flatZoom: 1, flatX: 0, flatY: 0 });

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const mix = (a, b, t) => a + (b - a) * t;
export const wrapAngle = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;

// What the shaders and the CPU need to place vertices in a panel {x, y, w, h} (CSS pixels, y down from the canvas top).
// focus: the part of the flat map to show, {x, z, w, h} in millimetres.
export function pose(camera, panel, focus) {
  const isFlat = panel.kind === "flat";
  const shape = isFlat ? FLAT : clamp(camera.shape, 0, FLAT);
  const first = Math.min(Math.floor(shape), FLAT - 1),
    blend = shape - first;
  const flatness = clamp(shape - 2, 0, 1),
    upright = 1 - flatness;
  const yaw = wrapAngle(camera.yaw) * upright * RADIANS,
    pitch = camera.pitch * upright * RADIANS;
  const right = [Math.cos(yaw), Math.sin(yaw), 0];
  const forward = [-Math.sin(yaw) * Math.cos(pitch), Math.cos(yaw) * Math.cos(pitch), Math.sin(pitch)];
  const up = [
    right[1] * forward[2] - right[2] * forward[1],
    right[2] * forward[0] - right[0] * forward[2],
    right[0] * forward[1] - right[1] * forward[0],
  ];
  const open = isFlat ? 0 : camera.open * upright * RADIANS;
  let scale, x, y;
  if (isFlat) {
    scale = flatFit(panel, focus) * camera.flatZoom;
    x = camera.flatX - focus.x * scale + panel.indent / 2;
    y = camera.flatY - focus.z * scale + panel.foot / 2;
  } else {
    const fit = ([w, h]) => Math.min(panel.w / (2 * w), (panel.h - panel.foot) / (2 * h));
    // Fits at every turn, so that a turned brain is never cut off at zoom 1.
    const half = [right, up].map((axis, k) => mix(MARGIN[k] * reach(axis, open), flatReach(axis), flatness));
    scale = fit(half) * camera.zoom;
    [x, y] = [camera.x, camera.y + panel.foot / 2];
  }
  return { panel, first, blend, flatness, right, up, forward, scale, x, y, open };
}

const flatReach = ([x, , z]) => Math.hypot(x * FLAT_HALF[0], z * FLAT_HALF[1]);

// How far both hemispheres reach from the middle in a direction, in millimetres.
function reach(direction, open) {
  const [x, y, z] = direction;
  const far = [0, 1].map((hemisphere) => {
    const side = hemisphere ? 1 : -1,
      c = Math.cos(open),
      s = side * Math.sin(open);
    const own = [c * x + s * y, c * y - s * x, z]; // the direction as the hemisphere has it
    return (
      Math.abs(dot(direction, opened([side * CENTRE, 0, 0], hemisphere, open))) +
      Math.hypot(...own.map((d, k) => d * AXES[k]))
    );
  });
  return Math.max(...far);
}

// Pixels a millimetre at which the focus fills a flat panel without its foot and indent, left free for the legend.
export const flatFit = (panel, focus) => Math.min((panel.w - panel.indent) / focus.w, (panel.h - panel.foot) / focus.h);

// Turns a point of hemisphere 0 or 1 around the hinge in front.
export function opened([x, y, z], hemisphere, angle) {
  const a = hemisphere ? angle : -angle,
    c = Math.cos(a),
    s = Math.sin(a);
  return [c * x - s * (y - HINGE), s * x + c * (y - HINGE) + HINGE, z];
}

// World position of a vertex in a pose.
export function worldPosition(geometry, vertex, p) {
  const side = vertex >= geometry.n ? 1 : 0;
  const a = opened(geometry.position(vertex, p.first), side, p.open);
  if (p.blend === 0) return a;
  let b = geometry.position(vertex, p.first + 1);
  if (p.first + 1 !== FLAT) b = opened(b, side, p.open);
  return a.map((v, k) => mix(v, b[k], p.blend));
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// [x, y, depth] in CSS pixels of the canvas; smaller depth is nearer.
export function toScreen(world, p) {
  const { panel } = p;
  return [
    panel.x + panel.w / 2 + dot(p.right, world) * p.scale + p.x,
    panel.y + panel.h / 2 - dot(p.up, world) * p.scale - p.y,
    dot(p.forward, world),
  ];
}

// Column-major 4x4 matrix from world to clip space of the panel's viewport.
export function clipMatrix(p) {
  const sx = (2 * p.scale) / p.panel.w,
    sy = (2 * p.scale) / p.panel.h,
    sz = 1 / 700;
  const { right: r, up: u, forward: f } = p;
  return new Float32Array([
    r[0] * sx,
    u[0] * sy,
    f[0] * sz,
    0,
    r[1] * sx,
    u[1] * sy,
    f[1] * sz,
    0,
    r[2] * sx,
    u[2] * sy,
    f[2] * sz,
    0,
    (2 * p.x) / p.panel.w,
    (2 * p.y) / p.panel.h,
    0,
    1,
  ]);
}

export const hinge = HINGE;

// ---------------------------------------------------------------- the camera as a text

const LAYOUTS = { b: "both", s: "surface", f: "flat" };
const short = (value, decimals) => String(Number(value.toFixed(decimals)) || 0);
const scaleOf = (poses, kind) => poses.find((p) => p.panel.kind === kind)?.scale;

// Layout, yaw, pitch and opening in degrees, zoom, shift in millimetres, shape, and zoom and shift of the flat map:
// the same picture at any size of the view. At most 59 characters, all of them plain in a page's address.
export function cameraText(camera, layout, poses) {
  const length = (value, kind) => short(clamp(value / (scaleOf(poses, kind) ?? Infinity), -999, 999), 1);
  return [
    layout[0],
    short(wrapAngle(camera.yaw), 0),
    short(camera.pitch, 0),
    short(camera.open, 0),
    short(camera.zoom, 2),
    length(camera.x, "surface"),
    length(camera.y, "surface"),
    short(camera.shape, 2),
    short(camera.flatZoom, 2),
    length(camera.flatX, "flat"),
    length(camera.flatY, "flat"),
  ].join("_");
}

// {layout, place(camera, posesOf)} of such a text, null where it is none.
export function readCamera(text) {
  const match = /^([bsf])\d?((?:_-?\d{1,3}(?:\.\d{1,2})?){10})$/.exec(String(text));
  if (!match) return null;
  const [yaw, pitch, open, zoom, x, y, shape, flatZoom, flatX, flatY] = match[2].slice(1).split("_").map(Number);
  const place = (camera, posesOf) => {
    Object.assign(camera, {
      yaw: wrapAngle(yaw),
      pitch: clamp(pitch, -90, 90),
      open: clamp(open, 0, 90),
      zoom: clamp(zoom, 0.2, 12),
      shape: clamp(shape, 0, FLAT),
      flatZoom: clamp(flatZoom, 0.2, 12),
      x: 0,
      y: 0,
      flatX: 0,
      flatY: 0,
    });
    const poses = posesOf(camera),
      surface = scaleOf(poses, "surface") ?? 0,
      flat = scaleOf(poses, "flat") ?? 0;
    Object.assign(camera, { x: x * surface, y: y * surface, flatX: flatX * flat, flatY: flatY * flat });
  };
  return { layout: LAYOUTS[match[1]], place };
}
