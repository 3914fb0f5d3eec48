// Views that share a group name share camera, hovered and selected vertex; a view that comes back finds its camera.
// Takes names, and functions to call for events; gives the camera of a group and what a view's visitor has chosen.

import { newCamera } from "./camera.js";

const groups = new Map(); // name -> members
const cameras = new Map(); // by group or key, kept while the page is open
const choices = new Map(); // by key: map, threshold, layout, names shown, compare

export function cameraOf(name) {
  if (!cameras.has(name)) cameras.set(name, newCamera());
  return cameras.get(name);
}

export function choicesOf(key) {
  if (!choices.has(key)) choices.set(key, {});
  return choices.get(key);
}

// A view's place in a group. listeners: {event: function(...values)}, called for what other members pass on.
export class Membership {
  constructor(listeners) {
    this.listeners = listeners;
  }

  join(name) {
    this.leave();
    this.name = name;
    if (!groups.has(name)) groups.set(name, new Set());
    groups.get(name).add(this);
  }

  leave() {
    groups.get(this.name)?.delete(this);
  }

  pass(event, ...values) {
    for (const other of groups.get(this.name) ?? []) if (other !== this) other.listeners[event](...values);
  }
}
