// The brain's shapes: fetched once, shared by all views of the page. Built by factortopy/view/geometry.py.
// Takes the name of a file beside the script; gives a promise of its Geometry.

import { unpack } from "./packing.js";

export const FLAT = 3; // kinds: 0 pial, 1 white, 2 inflated, 3 flat
const loaded = new Map();

export function loadGeometry(name) {
  if (!loaded.has(name)) {
    const url = new URL(name, import.meta.url);
    const promise = fetch(url).then(async (answer) => {
      if (!answer.ok) throw new Error(`the brain surface could not be loaded (${answer.status})`);
      // Large ones are packed once, on disk, rather than by the server at every request.
      const unpacked = name.endsWith(".gz") ? answer.body.pipeThrough(new DecompressionStream("gzip")) : answer.body;
      return new Geometry(await new Response(unpacked).arrayBuffer());
    });
    promise.catch(() => loaded.delete(name)); // so that a later try can succeed
    loaded.set(name, promise);
  }
  return loaded.get(name);
}

// A large mesh as it is drawn while it moves: the triangles of 10k, whose vertices are the first ones of every denser
// fsaverage. Null where there is no need of it, or it is not at hand.
export async function coarser(geometry, name) {
  const small = name && (await loadGeometry(name).catch(() => null));
  if (!small || geometry.n <= small.n) return null;
  const triangles = Uint32Array.from(small.triangles, (v) => (v < small.n ? v : v - small.n + geometry.n));
  return { triangles, nFaces: small.nFaces, nFlat: small.nFlat };
}

class Geometry {
  constructor(buffer) {
    const { header, arrays } = unpack(buffer);
    Object.assign(this, header); // n, kinds, low, step, faces: [left, right], flatFaces: [left, right], density
    this.count = 2 * this.n;
    this.positions = arrays.positions;
    this.sulc = arrays.sulc;
    this.triangles = arrays.faces; // surface left, right, then flat left, right
    this.nFaces = this.faces[0] + this.faces[1];
    this.nFlat = this.flatFaces[0] + this.flatFaces[1];
    this.normals = [0, 1, 2].map((kind) => this.vertexNormals(kind));
    this.onFlat = new Uint8Array(this.count);
    for (const v of this.triangles.subarray(3 * this.nFaces)) this.onFlat[v] = 1;
  }

  // Position of a vertex in one kind of surface, in millimetres.
  position(vertex, kind) {
    const at = 3 * (kind * this.count + vertex),
      low = this.low[kind],
      step = this.step[kind],
      p = this.positions;
    return [low[0] + step[0] * p[at], low[1] + step[1] * p[at + 1], low[2] + step[2] * p[at + 2]];
  }

  // Unit normals as signed bytes, four a vertex; the fourth is sulcal depth (0 gyrus, 127 sulcus).
  vertexNormals(kind) {
    const sum = new Float32Array(3 * this.count),
      p = this.positions,
      t = this.triangles;
    const base = 3 * kind * this.count,
      [sx, sy, sz] = this.step[kind];
    for (let f = 0; f < 3 * this.nFaces; f += 3) {
      const a = base + 3 * t[f],
        b = base + 3 * t[f + 1],
        c = base + 3 * t[f + 2];
      const ux = (p[b] - p[a]) * sx,
        uy = (p[b + 1] - p[a + 1]) * sy,
        uz = (p[b + 2] - p[a + 2]) * sz;
      const vx = (p[c] - p[a]) * sx,
        vy = (p[c + 1] - p[a + 1]) * sy,
        vz = (p[c + 2] - p[a + 2]) * sz;
      const x = uy * vz - uz * vy,
        y = uz * vx - ux * vz,
        z = ux * vy - uy * vx;
      for (let k = 0; k < 3; k++) {
        const at = 3 * t[f + k];
        sum[at] += x;
        sum[at + 1] += y;
        sum[at + 2] += z;
      }
    }
    const out = new Int8Array(4 * this.count);
    for (let v = 0; v < this.count; v++) {
      const size = Math.hypot(sum[3 * v], sum[3 * v + 1], sum[3 * v + 2]) || 1;
      for (let k = 0; k < 3; k++) out[4 * v + k] = Math.round((127 * sum[3 * v + k]) / size);
      out[4 * v + 3] = this.sulc[v] >> 1;
    }
    return out;
  }
}
