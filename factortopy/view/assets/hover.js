// What is pointed at: words beside the pointer, and a ring where the vertex lies in each panel. These are elements over
// the canvas, so that hovering draws nothing anew.
// Takes the drawing, the element of the words, those of the rings ({surface, flat}), and {words(vertex, name), changed(vertex)}.

export class Hover {
  constructor(drawing, tip, rings, actions) {
    Object.assign(this, { drawing, tip, rings, actions, vertex: -1 });
  }

  // The pointer is at (x, y) of the canvas.
  at(x, y) {
    const vertex = this.drawing.pick(x, y),
      name = this.drawing.labels.at(x, y);
    this.change(vertex);
    this.mark(vertex >= 0, Boolean(name));
    if (this.tip.hidden) return;
    this.tip.textContent = this.actions.words(vertex, name);
    const { offsetWidth: w, offsetHeight: h } = this.tip,
      { clientWidth: W, clientHeight: H } = this.drawing.stage.canvas;
    const left = x + 16 + w > W ? x - 14 - w : x + 16,
      top = y + 18 + h > H ? y - 12 - h : y + 18;
    this.tip.style.transform = `translate(${Math.max(2, left)}px, ${Math.max(2, top)}px)`;
  }

  // The pointer is elsewhere.
  leave() {
    this.change(-1);
    this.mark(false, false);
  }

  change(vertex) {
    if (vertex === this.vertex) return;
    this.show(vertex);
    this.actions.changed(vertex);
  }

  // over: whether the pointer is over the brain; named: over the name of a region.
  mark(over, named) {
    const { classList } = this.drawing.stage.canvas;
    this.tip.hidden = !over && !named;
    classList.toggle("over", over);
    classList.toggle("named", named);
  }

  // A ring in each panel that shows the vertex; −1 for none.
  show(vertex) {
    const places = vertex >= 0 && this.drawing.maps ? this.drawing.project(vertex) : [];
    this.vertex = vertex;
    for (const [kind, ring] of Object.entries(this.rings)) {
      const place = places.find((one) => one.kind === kind && one.seen);
      ring.hidden = !place;
      if (place) ring.style.transform = `translate(${place.x}px, ${place.y}px)`;
    }
  }
}
