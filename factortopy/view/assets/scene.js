// Everything that touches WebGL: textures, programs, drawing the panels, finding the vertex under a pixel.

import { clipMatrix, hinge } from "./camera.js";
import { FLAT } from "./geometry.js";
import * as shaders from "./shaders.js";

const WIDTH = 1024; // of every texture that is indexed by vertex or triangle
const GROUND = [0.078, 0.09, 0.114, 1];
const MODES = { category: 0, value: 1, plane: 2 };
const DARKEST = 0.22; // as in maps.py
const UNITS = { uPositions: 0, uNormals: 1, uFaces: 2, uMap: 3, uPalette: 4 };

export class Scene {
  // Throws when the browser has no WebGL2.
  constructor(canvas, geometry) {
    const options = { antialias: false, depth: false, preserveDrawingBuffer: true };
    const gl = canvas.getContext("webgl2", options);
    if (!gl) throw new Error("no WebGL2");
    Object.assign(this, { canvas, gl, geometry, outlines: { surface: null, flat: null }, targets: {} });
    this.rows = Math.ceil(geometry.count / WIDTH);
    this.mesh = program(gl, shaders.MESH_VERTEX, shaders.MESH_FRAGMENT);
    this.line = program(gl, shaders.LINE_VERTEX, shaders.LINE_FRAGMENT);
    this.uploadGeometry();
    this.mapTexture = texture(gl);
    this.paletteTexture = texture(gl);
    this.least = 0;
    this.samples = Math.min(4, gl.getParameter(gl.MAX_SAMPLES));
  }

  uploadGeometry() {
    const { gl, geometry: g, rows } = this;
    const stack = (Type, parts, channels) => {
      const all = new Type(parts.length * rows * WIDTH * channels);
      parts.forEach((part, k) => all.set(part, k * rows * WIDTH * channels));
      return all;
    };
    const size = 3 * g.count;
    const kinds = g.kinds.map((_, k) => g.positions.subarray(k * size, (k + 1) * size));
    this.positions = texture(gl);
    gl.texImage2D(
      gl.TEXTURE_2D,
      0,
      gl.RGB16UI,
      WIDTH,
      rows * kinds.length,
      0,
      gl.RGB_INTEGER,
      gl.UNSIGNED_SHORT,
      stack(Uint16Array, kinds, 3),
    );
    this.normals = texture(gl);
    gl.texImage2D(
      gl.TEXTURE_2D,
      0,
      gl.RGBA8_SNORM,
      WIDTH,
      rows * 3,
      0,
      gl.RGBA,
      gl.BYTE,
      stack(Int8Array, g.normals, 4),
    );
    const short = g.triangles.BYTES_PER_ELEMENT === 2,
      type = short ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    const height = Math.ceil(g.triangles.length / 3 / WIDTH);
    const padded = new g.triangles.constructor(3 * WIDTH * height);
    padded.set(g.triangles);
    this.faces = texture(gl);
    gl.texImage2D(gl.TEXTURE_2D, 0, short ? gl.RGB16UI : gl.RGB32UI, WIDTH, height, 0, gl.RGB_INTEGER, type, padded);
    this.corners = gl.createVertexArray(); // the triangles' corners one after the other
    gl.bindVertexArray(this.corners);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, g.triangles, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, type, 0, 0);
    gl.bindVertexArray(null);
  }

  // bytes: RGBA per vertex (value, second value, alpha, score); palette: RGB rows.
  setMap(bytes, map) {
    const { gl } = this;
    const padded = new Uint8Array(4 * WIDTH * this.rows);
    padded.set(bytes);
    gl.bindTexture(gl.TEXTURE_2D, this.mapTexture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8UI, WIDTH, this.rows, 0, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE, padded);
    const height = map.kind === "plane" ? Math.sqrt(map.palette.length / 3) : 1;
    gl.bindTexture(gl.TEXTURE_2D, this.paletteTexture);
    gl.texImage2D(
      gl.TEXTURE_2D,
      0,
      gl.RGB8,
      map.palette.length / 3 / height,
      height,
      0,
      gl.RGB,
      gl.UNSIGNED_BYTE,
      map.palette,
    );
    this.mode = MODES[map.kind];
    this.dark = map.fade === "dark" ? DARKEST : -1;
  }

  // segments: {surface, flat}, Uint32Array of four vertices a segment.
  setOutlines(segments) {
    const { gl } = this;
    for (const [kind, ends] of Object.entries(segments)) {
      const old = this.outlines[kind];
      if (old) {
        gl.deleteBuffer(old.buffer);
        gl.deleteVertexArray(old.vao);
      }
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
      this.outlines[kind] = { vao, buffer, count: (6 * ends.length) / 4 };
    }
  }

  // Draws the panels of `poses`; `scale` is device pixels per CSS pixel, `moving` allows a coarser picture.
  draw(poses, { scale, moving, marks, lines }) {
    const { gl, canvas } = this;
    const width = Math.max(2, Math.round(canvas.clientWidth * scale)),
      height = Math.max(2, Math.round(canvas.clientHeight * scale));
    const full = [
      Math.max(2, Math.round(canvas.clientWidth * this.full)),
      Math.max(2, Math.round(canvas.clientHeight * this.full)),
    ];
    if (canvas.width !== full[0] || canvas.height !== full[1]) [canvas.width, canvas.height] = full;
    const target = this.target(moving ? "moving" : "still", width, height, moving ? 0 : this.samples);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.viewport(0, 0, width, height);
    gl.clearColor(...GROUND);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const p of poses) {
      const box = this.viewport(p, scale, height);
      this.drawMesh(this.mesh, p);
      if (lines) this.drawOutlines(p, box, scale);
      this.drawMarks(p, marks, scale);
    }
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, target.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(
      0,
      0,
      width,
      height,
      0,
      0,
      full[0],
      full[1],
      gl.COLOR_BUFFER_BIT,
      moving ? gl.LINEAR : gl.NEAREST,
    );
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  viewport(p, scale, height) {
    const { x, y, w, h } = p.panel;
    const box = [
      Math.round(x * scale),
      Math.round(height - (y + h) * scale),
      Math.round(w * scale),
      Math.round(h * scale),
    ];
    this.gl.viewport(...box);
    return box;
  }

  use(shader, p) {
    const { gl, geometry: g } = this,
      u = shader.uniforms;
    gl.useProgram(shader.program);
    const textures = {
      uPositions: this.positions,
      uNormals: this.normals,
      uFaces: this.faces,
      uMap: this.mapTexture,
      uPalette: this.paletteTexture,
    };
    for (const [name, unit] of Object.entries(UNITS)) {
      if (!(name in u)) continue;
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, textures[name]);
      gl.uniform1i(u[name], unit);
    }
    gl.activeTexture(gl.TEXTURE0 + 7); // so that uploads do not disturb the bound ones
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

  drawMesh(shader, p) {
    const { gl, geometry: g } = this,
      u = this.use(shader, p);
    const isFlat = p.flatness === 1;
    gl.uniform1i(u.uMode, this.mode);
    gl.uniform1f(u.uDark, this.dark);
    gl.uniform1ui(u.uLeast, this.least);
    gl.uniform3fv(
      u.uToViewer,
      p.forward.map((v) => -v),
    );
    gl.uniform1f(u.uLit, 1 - p.flatness);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    // The inside of a closed surface is never seen.
    if (p.flatness === 0) gl.enable(gl.CULL_FACE);
    else gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(this.corners);
    // The flat patch leaves out the medial wall and the cuts, and so does the surface on its way there.
    const flatFaces = p.flatness > 0;
    gl.drawArrays(gl.TRIANGLES, flatFaces || isFlat ? 3 * g.nFaces : 0, 3 * (flatFaces ? g.nFlat : g.nFaces));
    gl.disable(gl.CULL_FACE);
    gl.bindVertexArray(null);
  }

  drawOutlines(p, box, scale) {
    const { gl } = this,
      set = this.outlines[p.flatness > 0 ? "flat" : "surface"];
    if (!set || !set.count) return;
    const u = this.use(this.line, p);
    gl.uniform2f(u.uPixels, box[2], box[3]);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(set.vao);
    for (const [width, colour, lift] of [
      [3, [0.05, 0.05, 0.07, 0.5], 0.004],
      [1.3, [1, 1, 1, 0.85], 0.005],
    ]) {
      gl.uniform1f(u.uWidth, width * scale);
      gl.uniform1f(u.uLift, lift);
      gl.uniform4fv(u.uColour, colour);
      gl.drawArrays(gl.TRIANGLES, 0, set.count);
    }
    gl.bindVertexArray(null);
    gl.disable(gl.BLEND);
  }

  // marks: [{vertex, size, hollow, colour}]; what lies behind the brain shines through faintly.
  drawMarks(p, marks, scale) {
    const { gl } = this;
    for (const m of marks) {
      if (p.flatness === 1 && !this.geometry.onFlat[m.vertex]) continue;
      this.mark ??= program(gl, shaders.MARK_VERTEX, shaders.MARK_FRAGMENT); // when first needed: compiling takes time
      const u = this.use(this.mark, p);
      gl.uniform1i(u.uVertex, m.vertex);
      gl.uniform1f(u.uSize, m.size * scale);
      gl.uniform1f(u.uHollow, m.hollow);
      gl.enable(gl.BLEND);
      gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      gl.bindVertexArray(this.corners);
      for (const [test, alpha] of [
        [false, 0.3],
        [true, 1],
      ]) {
        if (test) gl.enable(gl.DEPTH_TEST);
        else gl.disable(gl.DEPTH_TEST);
        gl.uniform4fv(u.uColour, [...m.colour, alpha]);
        gl.drawArrays(gl.POINTS, 0, 1);
      }
      gl.bindVertexArray(null);
      gl.disable(gl.BLEND);
    }
  }

  // Vertex drawn at a place of the canvas (CSS pixels), −1 beside the brain. The numbers are drawn again only when
  // `key` (what the picture depends on) has changed.
  pick(x, y, poses, key) {
    const { gl, canvas } = this,
      w = canvas.clientWidth,
      h = canvas.clientHeight;
    const target = this.target("numbers", w, h, 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    if (target.key !== key) {
      this.picker ??= program(gl, shaders.MESH_VERTEX, shaders.PICK_FRAGMENT);
      gl.viewport(0, 0, w, h);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      for (const p of poses) {
        this.viewport(p, 1, h);
        this.drawMesh(this.picker, p);
      }
      target.key = key;
    }
    const code = new Uint8Array(4);
    gl.readPixels(Math.floor(x), h - 1 - Math.floor(y), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, code);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return code[3] ? code[0] + (code[1] << 8) + (code[2] << 16) - 1 : -1;
  }

  // Waits until the graphics processor is done.
  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  target(name, width, height, samples) {
    const { gl } = this,
      old = this.targets[name];
    if (old && old.width === width && old.height === height) return old;
    if (old) {
      gl.deleteFramebuffer(old.frame);
      old.buffers.forEach((b) => gl.deleteRenderbuffer(b));
    }
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    const buffers = [
      [gl.RGBA8, gl.COLOR_ATTACHMENT0],
      [gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT],
    ].map(([format, place]) => {
      const buffer = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffer);
      return buffer;
    });
    return (this.targets[name] = { frame, buffers, width, height, samples, key: null });
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function texture(gl) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + 7);
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  for (const [name, value] of [
    ["MIN_FILTER", "NEAREST"],
    ["MAG_FILTER", "NEAREST"],
    ["WRAP_S", "CLAMP_TO_EDGE"],
    ["WRAP_T", "CLAMP_TO_EDGE"],
  ]) {
    gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], gl[value]);
  }
  return made;
}

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const uniforms = {};
  for (let k = 0; k < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); k++) {
    const name = gl.getActiveUniform(made, k).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(made, name);
  }
  return { program: made, uniforms };
}
