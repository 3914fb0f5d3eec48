// Views that share a group name share camera, hovered and selected vertex; a view that comes back finds its camera.

import { newCamera } from "./camera.js";

const groups = new Map();
const cameras = new Map(); // by group or key, kept while the page is open
const choices = new Map(); // by key: map, threshold, layout, names shown

export function cameraOf(name) {
  if (!cameras.has(name)) cameras.set(name, newCamera());
  return cameras.get(name);
}

export function choicesOf(key) {
  if (!choices.has(key)) choices.set(key, {});
  return choices.get(key);
}

export function join(view, name) {
  leave(view);
  view.groupName = name;
  if (!groups.has(name)) groups.set(name, new Set());
  groups.get(name).add(view);
}

export function leave(view) {
  groups.get(view.groupName)?.delete(view);
}

// Calls view[method](...values) of the others in the group.
export function tellOthers(view, method, ...values) {
  for (const other of groups.get(view.groupName) ?? []) if (other !== view) other[method](...values);
}
