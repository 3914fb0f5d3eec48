// Everything that touches WebGL: textures, programs, drawing the panels, finding the vertex under a pixel.
// Takes a canvas, a geometry (geometry.js), colours and outlines; then, for each picture, poses (camera.js).
//
// A picture is made in two steps. The geometry pass notes for each pixel which triangle is seen there and how it is lit;
// it is repeated when the camera or the size changes. The paint pass gives the pixels their colours: a new map, a
// threshold, a selection cost this pass alone, and the vertex under the pointer is read from the first one's notes.

import { clipMatrix, hinge, toScreen, worldPosition } from "./camera.js";
import { FLAT } from "./geometry.js";
import { Target, program, texture } from "./gl.js";
import * as shaders from "./shaders.js";

const WIDTH = 1024; // of every texture that is indexed by vertex or triangle
export const GROUND = [0.078, 0.09, 0.114];
const LINES = [0.65, 1.5]; // half widths of an outline and of its dark rim, in CSS pixels
const HIGHLIGHT = 1.9;
const NEAR = 5; // millimetres: what is seen where a vertex falls is this far from it, else the vertex is hidden

export class Scene {
  // Throws when the browser has no WebGL2. coarse: {triangles, nFaces, nFlat} to draw while a large mesh moves, or null.
  constructor(canvas, geometry, coarse = null) {
    const options = { antialias: false, depth: false, preserveDrawingBuffer: true };
    const gl = canvas.getContext("webgl2", options);
    if (!gl) throw new Error("no WebGL2");
    Object.assign(this, { canvas, gl, geometry, outlines: {}, targets: {}, colours: [], revision: 0 });
    this.rows = Math.ceil(geometry.count / WIDTH);
    this.mesh = program(gl, shaders.MESH_VERTEX, shaders.MESH_FRAGMENT);
    this.edge = program(gl, shaders.SCREEN_VERTEX, shaders.EDGE_FRAGMENT);
    this.line = program(gl, shaders.LINE_VERTEX, shaders.LINE_FRAGMENT);
    this.painter = program(gl, shaders.SCREEN_VERTEX, shaders.PAINT_FRAGMENT);
    this.screen = gl.createVertexArray();
    this.uploadVertices();
    this.setCoarse(coarse);
  }

  uploadVertices() {
    const { gl, geometry: g, rows } = this;
    const stack = (Type, parts, channels) => {
      const all = new Type(parts.length * rows * WIDTH * channels);
      parts.forEach((part, k) => all.set(part, k * rows * WIDTH * channels));
      return all;
    };
    const upload = (format, layout, type, parts, data) => {
      const uploaded = texture(gl);
      gl.texImage2D(gl.TEXTURE_2D, 0, format, WIDTH, rows * parts, 0, layout, type, data);
      return uploaded;
    };
    const size = 3 * g.count;
    const kinds = g.kinds.map((_, k) => g.positions.subarray(k * size, (k + 1) * size));
    const places = stack(Uint16Array, kinds, 3);
    this.positions = upload(gl.RGB16UI, gl.RGB_INTEGER, gl.UNSIGNED_SHORT, kinds.length, places);
    this.normals = upload(gl.RGBA8_SNORM, gl.RGBA, gl.BYTE, 3, stack(Int8Array, g.normals, 4));
  }

  setCoarse(coarse) {
    this.coarse = coarse && this.level(coarse);
  }

  // The whole mesh is uploaded when it is first drawn.
  get fine() {
    this.fineLevel ??= this.level(this.geometry);
    return this.fineLevel;
  }

  // Triangles as a texture, for the paint pass, and corner after corner, for the geometry pass.
  level({ triangles, nFaces, nFlat }) {
    const { gl } = this;
    const short = triangles.BYTES_PER_ELEMENT === 2,
      type = short ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    const height = Math.ceil(triangles.length / 3 / WIDTH);
    const padded = new triangles.constructor(3 * WIDTH * height);
    padded.set(triangles);
    const faces = texture(gl);
    gl.texImage2D(gl.TEXTURE_2D, 0, short ? gl.RGB16UI : gl.RGB32UI, WIDTH, height, 0, gl.RGB_INTEGER, type, padded);
    const corners = gl.createVertexArray();
    gl.bindVertexArray(corners);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, type, 0, 0);
    gl.bindVertexArray(null);
    return { triangles, nFaces, nFlat, faces, corners };
  }

  // rgba: bytes of every vertex, opacity 0 where nothing is painted; side 0 is the map, 1 the one right of the divider.
  setColours(side, rgba, smooth) {
    const { gl } = this,
      colours = this.colours[side] ?? { texture: texture(gl) };
    const padded = new Uint8Array(4 * WIDTH * this.rows);
    padded.set(rgba);
    gl.activeTexture(gl.TEXTURE0 + 7);
    gl.bindTexture(gl.TEXTURE_2D, colours.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, WIDTH, this.rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, padded);
    this.colours[side] = { ...colours, smooth };
  }

  // segments: {surface, flat}, Uint32Array of four vertices a segment; name: "all" or "chosen" (the highlighted region).
  setOutlines(name, segments) {
    const { gl } = this;
    for (const old of Object.values(this.outlines[name] ?? {})) {
      gl.deleteBuffer(old.buffer);
      gl.deleteVertexArray(old.vao);
    }
    this.outlines[name] = {};
    this.revision++;
    for (const [kind, ends] of Object.entries(segments ?? {})) {
      const vao = gl.createVertexArray(),
        buffer = gl.createBuffer();
      gl.bindVertexArray(vao);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      const corners = new Uint32Array(6 * ends.length);
      for (let k = 0; k < ends.length; k += 4) {
        for (let corner = 0; corner < 6; corner++) corners.set(ends.subarray(k, k + 4), 6 * k + 4 * corner);
      }
      gl.bufferData(gl.ARRAY_BUFFER, corners, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(0);
      gl.vertexAttribIPointer(0, 4, gl.UNSIGNED_INT, 0, 0);
      gl.bindVertexArray(null);
      this.outlines[name][kind] = { vao, buffer, count: (6 * ends.length) / 4 };
    }
  }

  // ---------------------------------------------------------------- a picture

  // Whether the geometry of a picture is drawn already.
  isReady(name, key) {
    return this.targets[name]?.key === key;
  }

  // Draws the panels of `poses`. name: "still" or "moving"; scale: pixels of the picture per CSS pixel; full: those of the
  // canvas; key: what the geometry depends on; bare: without edges and outlines, whose programs take longest to compile;
  // split: share of each panel left of the divider, or null. Returns whether the geometry was drawn anew.
  draw(poses, { name, scale, full, key, marks, lines, bare, split }) {
    const { gl, canvas } = this,
      size = (ratio) =>
        [canvas.clientWidth, canvas.clientHeight].map((length) => Math.max(2, Math.round(length * ratio)));
    const wanted = size(full);
    if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) [canvas.width, canvas.height] = wanted;
    const target = this.target(name, ...size(scale)),
      drawn = this.drawGeometry(target, poses, { name, scale, key });
    const overlayKey = `${lines} ${this.revision}`;
    if (!bare && target.overlayKey !== overlayKey) this.drawOverlay(target, poses, { name, scale, lines });
    target.overlayKey = bare ? null : overlayKey;
    const { width, height } = target,
      direct = width === wanted[0] && height === wanted[1];
    if (direct) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.viewport(0, 0, width, height);
    } else target.bind("colour");
    this.paint(target, poses, { scale, split });
    for (const p of poses) {
      this.viewport(p, scale, height);
      this.drawMarks(p, marks, scale, target);
    }
    if (!direct) {
      gl.bindFramebuffer(gl.READ_FRAMEBUFFER, target.colour.frame);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
      gl.blitFramebuffer(0, 0, width, height, 0, 0, ...wanted, gl.COLOR_BUFFER_BIT, gl.LINEAR);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return drawn;
  }

  target(name, width, height) {
    const old = this.targets[name];
    if (old && old.width === width && old.height === height) return old;
    old?.dispose();
    return (this.targets[name] = new Target(this.gl, width, height));
  }

  drawGeometry(target, poses, { name, scale, key }) {
    if (target.key === key) return false;
    const { gl } = this;
    target.level = name === "still" ? this.fine : (this.coarse ?? this.fine);
    target.bind("geometry");
    gl.disable(gl.BLEND);
    gl.clearBufferuiv(gl.COLOR, 0, [0, 0, 0, 0]);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    for (const p of poses) {
      this.viewport(p, scale, target.height);
      this.drawMesh(p, target.level);
    }
    target.key = key;
    target.overlayKey = null;
    return true;
  }

  drawOverlay(target, poses, { name, scale, lines }) {
    const { gl } = this;
    target.bind("overlay");
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.edge.program);
    this.bindTextures(this.edge.uniforms, { uGeometry: target.geometry.texture });
    gl.uniform1i(this.edge.uniforms.uSoft, name === "still" ? 1 : 0);
    this.fillScreen();
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendEquation(gl.MAX);
    for (const p of poses) {
      const box = this.viewport(p, scale, target.height);
      if (lines) this.drawOutlines("all", p, box, [...LINES.map((half) => half * scale), -1]);
      this.drawOutlines("chosen", p, box, [-1, -1, HIGHLIGHT * scale]);
    }
    gl.blendEquation(gl.FUNC_ADD);
    gl.disable(gl.BLEND);
    gl.depthMask(true);
  }

  paint(target, poses, { scale, split }) {
    const { gl } = this,
      u = this.painter.uniforms;
    gl.disable(gl.DEPTH_TEST);
    gl.clearColor(...GROUND, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.painter.program);
    gl.uniform3fv(u.uGround, GROUND);
    gl.enable(gl.SCISSOR_TEST);
    for (const p of poses) {
      const [x, y, w, h] = this.box(p, scale, target.height);
      const left = split === null ? w : Math.round(w * split);
      for (const [side, from, width] of [
        [0, x, left],
        [1, x + left, w - left],
      ]) {
        const { texture: uColours, smooth } = this.colours[side] ?? {};
        if (!width || !uColours) continue;
        this.bindTextures(u, {
          uGeometry: target.geometry.texture,
          uFaces: target.level.faces,
          uColours,
          uOverlay: target.overlay.texture,
        });
        gl.uniform1i(u.uSmooth, smooth ? 1 : 0);
        gl.scissor(from, y, width, h);
        this.fillScreen();
      }
    }
    gl.disable(gl.SCISSOR_TEST);
  }

  fillScreen() {
    const { gl } = this;
    gl.bindVertexArray(this.screen);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
  }

  box(p, scale, height) {
    const { x, y, w, h } = p.panel;
    return [x * scale, height - (y + h) * scale, w * scale, h * scale].map(Math.round);
  }

  viewport(p, scale, height) {
    const box = this.box(p, scale, height);
    this.gl.viewport(...box);
    return box;
  }

  bindTextures(uniforms, textures) {
    const { gl } = this;
    Object.entries(textures).forEach(([name, image], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, image);
      gl.uniform1i(uniforms[name], unit);
    });
  }

  use(shader, p) {
    const { gl, geometry: g } = this,
      u = shader.uniforms;
    gl.useProgram(shader.program);
    this.bindTextures(u, { uPositions: this.positions, ...(u.uNormals && { uNormals: this.normals }) });
    const second = Math.min(p.first + 1, FLAT);
    gl.uniform1i(u.uRows, this.rows);
    gl.uniform1i(u.uHalf, g.n);
    gl.uniform2i(u.uKinds, p.first, second);
    gl.uniform1f(u.uBlend, p.blend);
    gl.uniform1f(u.uOpen, p.open);
    gl.uniform1f(u.uHinge, hinge);
    gl.uniform3fv(u.uLow, [...g.low[p.first], ...g.low[second]]);
    gl.uniform3fv(u.uStep, [...g.step[p.first], ...g.step[second]]);
    gl.uniformMatrix4fv(u.uClip, false, clipMatrix(p));
    return u;
  }

  drawMesh(p, level) {
    const { gl } = this,
      u = this.use(this.mesh, p);
    gl.uniform3fv(
      u.uToViewer,
      p.forward.map((v) => -v),
    );
    gl.uniform1f(u.uLit, 1 - p.flatness);
    gl.enable(gl.DEPTH_TEST);
    // The inside of a closed surface is never seen.
    if (p.flatness === 0) gl.enable(gl.CULL_FACE);
    gl.bindVertexArray(level.corners);
    // The flat patch leaves out the medial wall and the cuts, and so does the surface on its way there.
    const isFlat = p.flatness > 0;
    gl.drawArrays(gl.TRIANGLES, isFlat ? 3 * level.nFaces : 0, 3 * (isFlat ? level.nFlat : level.nFaces));
    gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(null);
  }

  drawOutlines(name, p, box, halves) {
    const { gl } = this,
      set = this.outlines[name]?.[p.flatness > 0 ? "flat" : "surface"];
    if (!set?.count) return;
    const u = this.use(this.line, p);
    gl.uniform2f(u.uPixels, box[2], box[3]);
    gl.uniform1f(u.uReach, Math.max(...halves) + 0.7);
    gl.uniform3fv(u.uHalf3, halves);
    gl.bindVertexArray(set.vao);
    gl.drawArrays(gl.TRIANGLES, 0, set.count);
    gl.bindVertexArray(null);
  }

  // marks: [{vertex, size, hollow, colour}]; what lies behind the brain shines through faintly.
  drawMarks(p, marks, scale, target) {
    const { gl } = this;
    for (const m of marks) {
      if (p.flatness === 1 && !this.geometry.onFlat[m.vertex]) continue;
      const place = worldPosition(this.geometry, m.vertex, p),
        [x, y] = toScreen(place, p);
      const { panel } = p;
      if (x < panel.x || y < panel.y || x >= panel.x + panel.w || y >= panel.y + panel.h) continue;
      const there = this.vertexAt(target, x, y, scale);
      const seen = there >= 0 && Math.hypot(...worldPosition(this.geometry, there, p).map((v, k) => v - place[k])) < NEAR;
      this.mark ??= program(gl, shaders.MARK_VERTEX, shaders.MARK_FRAGMENT); // when first needed: compiling takes time
      const u = this.use(this.mark, p);
      gl.uniform1i(u.uVertex, m.vertex);
      gl.uniform1f(u.uSize, m.size * scale);
      gl.uniform1f(u.uHollow, m.hollow);
      gl.uniform4fv(u.uColour, [...m.colour, seen ? 1 : 0.3]);
      gl.enable(gl.BLEND);
      gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      gl.bindVertexArray(target.level.corners);
      gl.drawArrays(gl.POINTS, 0, 1);
      gl.bindVertexArray(null);
      gl.disable(gl.BLEND);
    }
  }

  // Vertex drawn at a place of the canvas (CSS pixels), −1 beside the brain.
  pick(x, y, poses, { scale, key }) {
    const { canvas } = this;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight].map((length) => Math.max(2, Math.round(length * scale)));
    const target = this.target("still", w, h);
    this.drawGeometry(target, poses, { name: "still", scale, key });
    return this.vertexAt(target, x, y, scale);
  }

  // What the geometry pass noted about a place of the canvas.
  vertexAt(target, x, y, scale) {
    const { gl } = this,
      { width: w, height: h } = target;
    const before = gl.getParameter(gl.FRAMEBUFFER_BINDING);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.geometry.frame);
    const code = new Uint32Array(4),
      place = [Math.min(w - 1, Math.floor(x * scale)), Math.max(0, h - 1 - Math.floor(y * scale))];
    gl.readPixels(...place, 1, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, code);
    gl.bindFramebuffer(gl.FRAMEBUFFER, before);
    const triangle = (code[0] & 0xffffff) - 1;
    if (triangle < 0) return -1;
    const a = code[1] & 255,
      b = (code[1] >> 8) & 255,
      c = 255 - a - b;
    return target.level.triangles[3 * triangle + (a >= b && a >= c ? 0 : b >= c ? 1 : 2)];
  }

  // Waits until the graphics processor is done.
  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
