// Regions of interest: outlines along the mesh, places for their names, which regions hold a vertex.
// Takes a geometry (geometry.js) and [{name, vertices: TypedArray of whole-mesh indices}]; gives segments as
// Scene.setOutlines takes them and anchors as Labels.set takes them.

// The regions of a message.
export function readRegions(message, { roiOffsets, roiVertices }) {
  return message.rois.map((name, k) => ({ name, vertices: roiVertices.slice(roiOffsets[k], roiOffsets[k + 1]) }));
}

export class Regions {
  constructor(geometry, regions) {
    this.geometry = geometry;
    this.list = regions;
    this.of = new Map(); // vertex -> numbers of its regions, smallest region first
    const bySize = regions.map((_, k) => k).sort((a, b) => regions[a].vertices.length - regions[b].vertices.length);
    for (const k of bySize) {
      for (const v of regions[k].vertices) this.of.has(v) ? this.of.get(v).push(k) : this.of.set(v, [k]);
    }
    this.segments = this.outlines(regions);
    this.anchors = regions.flatMap((region, k) => this.anchorsOf(region, k));
  }

  names(vertex) {
    return (this.of.get(vertex) ?? []).map((k) => this.list[k].name);
  }

  sizeOf(name) {
    return this.list.find((region) => region.name === name)?.vertices.length ?? 0;
  }

  // Outlines of one region on surface and flat map; null when there is no such region.
  segmentsOf(name) {
    const region = this.list.find((one) => one.name === name);
    return region ? this.outlines([region]) : null;
  }

  outlines(list) {
    const { nFaces, nFlat } = this.geometry;
    return { surface: this.outline(list, 0, nFaces), flat: this.outline(list, nFaces, nFaces + nFlat) };
  }

  // Segments (four vertices each) across the triangles from..to that lie on a border: between the middles of the two
  // edges that leave the region. All regions are looked at in one go, each being one bit of a vertex's number.
  outline(list, from, to) {
    const t = this.geometry.triangles,
      ends = [];
    for (let start = 0; start < list.length; start += 31) {
      const member = new Uint32Array(this.geometry.count);
      list.slice(start, start + 31).forEach(({ vertices }, k) => {
        for (const v of vertices) member[v] |= 1 << k;
      });
      for (let f = 3 * from; f < 3 * to; f += 3) {
        const a = t[f],
          b = t[f + 1],
          c = t[f + 2],
          x = member[a],
          y = member[b],
          z = member[c];
        for (let mixed = (x | y | z) & ~(x & y & z); mixed; mixed &= mixed - 1) {
          const bit = mixed & -mixed,
            sum = Number((x & bit) !== 0) + Number((y & bit) !== 0) + Number((z & bit) !== 0);
          const odd = sum === 1; // the corner that differs from the other two
          const [p, q, r] = ((x & bit) !== 0) === odd ? [a, b, c] : ((y & bit) !== 0) === odd ? [b, c, a] : [c, a, b];
          ends.push(p, q, p, r);
        }
      }
    }
    return Uint32Array.from(ends);
  }

  // One name a hemisphere: at the member nearest to the region's centre, on the surface and on the flat map.
  anchorsOf({ name, vertices }, region) {
    const g = this.geometry,
      anchors = [];
    for (const side of [0, 1]) {
      const members = [...vertices].filter((v) => (v >= g.n ? 1 : 0) === side);
      if (members.length < 3) continue;
      const flat = members.filter((v) => g.onFlat[v]);
      anchors.push({
        name,
        region,
        size: members.length,
        surface: centre(g, members, 2),
        flat: flat.length ? centre(g, flat, 3) : -1,
      });
    }
    return anchors.sort((a, b) => b.size - a.size);
  }
}

function centre(geometry, members, kind) {
  const points = members.map((v) => geometry.position(v, kind));
  const middle = [0, 1, 2].map((k) => points.reduce((sum, p) => sum + p[k], 0) / points.length);
  let best = 0,
    least = Infinity;
  points.forEach((p, k) => {
    const d = Math.hypot(p[0] - middle[0], p[1] - middle[1], p[2] - middle[2]);
    if (d < least) [least, best] = [d, k];
  });
  return members[best];
}
