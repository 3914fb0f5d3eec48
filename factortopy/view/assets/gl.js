// Small helpers around WebGL2: textures, programs, and the buffers of a picture. Each takes the context `gl`.

export function texture(gl) {
  const created = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + 7); // so that uploads do not disturb the bound ones
  gl.bindTexture(gl.TEXTURE_2D, created);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  for (const [name, value] of [
    ["MIN_FILTER", "NEAREST"],
    ["MAG_FILTER", "NEAREST"],
    ["WRAP_S", "CLAMP_TO_EDGE"],
    ["WRAP_T", "CLAMP_TO_EDGE"],
  ]) {
    gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], gl[value]);
  }
  return created;
}

export function program(gl, vertex, fragment) {
  const linked = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(linked, shader);
  }
  gl.linkProgram(linked);
  if (!gl.getProgramParameter(linked, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(linked));
  const uniforms = {};
  for (let k = 0; k < gl.getProgramParameter(linked, gl.ACTIVE_UNIFORMS); k++) {
    const name = gl.getActiveUniform(linked, k).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(linked, name);
  }
  return { program: linked, uniforms };
}

// Pictures of one size: geometry (numbers) and overlay (lines), which share their depths, and, when asked for, colour.
export class Target {
  constructor(gl, width, height) {
    Object.assign(this, { gl, width, height, key: null, overlayKey: null });
    this.depth = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, this.depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
    this.geometry = this.picture(gl.RG32UI, true);
    this.overlay = this.picture(gl.RGBA8, true);
  }

  // Only a picture that is not of the canvas's size is painted here first.
  get colour() {
    this.painted ??= this.picture(this.gl.RGBA8, false);
    return this.painted;
  }

  picture(format, deep) {
    const { gl } = this,
      image = texture(gl),
      frame = gl.createFramebuffer();
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, this.width, this.height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, image, 0);
    if (deep) gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, this.depth);
    return { texture: image, frame };
  }

  bind(name) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this[name].frame);
    gl.viewport(0, 0, this.width, this.height);
  }

  dispose() {
    const { gl } = this;
    for (const { texture: image, frame } of [this.geometry, this.overlay, this.painted].filter(Boolean)) {
      gl.deleteFramebuffer(frame);
      gl.deleteTexture(image);
    }
    gl.deleteRenderbuffer(this.depth);
  }
}
