// Which vertex and which region are selected, and what a click makes of them.
// Takes {vertex(row, tell), region(name, tell)}, called after a change; tell: whether Python and linked views shall know.

export class Selection {
  constructor(changed) {
    Object.assign(this, { changed, vertex: -1, region: null });
  }

  select(vertex, { tell = true } = {}) {
    if (vertex === this.vertex) return;
    this.vertex = vertex;
    this.changed.vertex(vertex, tell);
  }

  // Highlights all of a region; a name that this view does not have is kept, and drawn when it comes.
  selectRegion(name, { tell = true } = {}) {
    const region = name || null;
    if (region === this.region) return;
    this.region = region;
    this.changed.region(region, tell);
  }

  // A click: the vertex there, and the whole region when it was on the region's name (a second time: no longer).
  click(vertex, name = null) {
    this.selectRegion(name === this.region ? null : name);
    this.select(vertex);
  }

  // To be called before a click with the mouse, two of which may become a double click.
  remember() {
    const now = [this.vertex, this.region];
    this.beforeClick = this.atClick ?? now;
    this.atClick = now;
  }

  // Takes back what the two clicks of a double click selected.
  undoClicks() {
    const [vertex, region] = this.beforeClick ?? [-1, null];
    this.select(vertex);
    this.selectRegion(region);
  }

  // As Scene.draw takes them.
  marks() {
    if (this.vertex < 0) return [];
    const white = { vertex: this.vertex, colour: [1, 1, 1] };
    return [
      { ...white, size: 19, hollow: 0.62 },
      { ...white, size: 7, hollow: 0 },
    ];
  }
}
