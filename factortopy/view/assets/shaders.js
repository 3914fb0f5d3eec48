// GLSL of the view. Vertices are fetched from textures by number, so that triangles, outlines and markers share them.
// The geometry pass writes which triangle a pixel shows; the paint pass, which alone runs when a map changes, its colour.

const PLACE = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;
uniform usampler2D uPositions;   // quantised positions, one block of uRows rows for each kind
uniform sampler2D uNormals;      // normal and, as w, sulcal depth
uniform int uRows, uHalf;        // uHalf: vertices of a hemisphere
uniform ivec2 uKinds;            // the two kinds that are blended
uniform float uBlend, uOpen, uHinge;
uniform vec3 uLow[2], uStep[2];
uniform mat4 uClip;
const int FLAT = 3;
vec3 turn(vec3 p, int v) {
  float a = v >= uHalf ? uOpen : -uOpen;
  return vec3(mat2(cos(a), sin(a), -sin(a), cos(a)) * p.xy, p.z);
}
vec3 one(int v, int k) {
  uvec3 code = texelFetch(uPositions, ivec2(v & 1023, (v >> 10) + uKinds[k] * uRows), 0).rgb;
  vec3 p = uLow[k] + uStep[k] * vec3(code);
  return uKinds[k] == FLAT ? p : turn(p - vec3(0., uHinge, 0.), v) + vec3(0., uHinge, 0.);
}
vec3 place(int v) { return uBlend == 0. ? one(v, 0) : mix(one(v, 0), one(v, 1), uBlend); }
vec4 normalOf(int v, int kind) {
  vec4 n = texelFetch(uNormals, ivec2(v & 1023, (v >> 10) + min(kind, 2) * uRows), 0);
  return vec4(kind == FLAT ? vec3(0., -1., 0.) : turn(n.xyz, v), n.w);
}
`;

export const MESH_VERTEX = `${PLACE}
layout(location = 0) in uint aVertex;
uniform vec3 uToViewer;
uniform float uLit;              // 1 on surfaces, 0 on the flat map, whose colours are those of the legend
flat out uint vTriangle;
out vec2 vCorner;                // two of the three barycentric coordinates
out vec2 vShade;                 // light, sulcal depth
void main() {
  int v = int(aVertex), triangle = gl_VertexID / 3, corner = gl_VertexID - 3 * triangle;
  vTriangle = uint(triangle) + 1u;
  vCorner = vec2(corner == 0, corner == 1);
  vec4 n = normalOf(v, uKinds.x);
  if (uBlend > 0.) n.xyz = mix(n.xyz, normalOf(v, uKinds.y).xyz, uBlend);
  float facing = max(0., dot(normalize(n.xyz), uToViewer));
  vShade = vec2(mix(1., .52 + .5 * pow(facing, .7), uLit), n.w);
  gl_Position = uClip * vec4(place(v), 1.);
}`;

// x: triangle + 1 and, in the upper byte, the grey of the bare cortex; y: two barycentric coordinates, light on paint.
export const MESH_FRAGMENT = `#version 300 es
precision highp float; precision highp int;
flat in uint vTriangle;
in vec2 vCorner, vShade;
uniform float uLit;
out uvec2 pixel;
uint bits(float v) { return uint(clamp(v, 0., 1.) * 255. + .5); }
void main() {
  float depth = smoothstep(.36, .64, vShade.y), light = vShade.x * mix(1., mix(1.04, .93, depth), uLit);
  pixel = uvec2(vTriangle | bits(mix(.47, .315, depth) * vShade.x) << 24,
    bits(vCorner.x) | bits(vCorner.y) << 8 | uint(min(255., light * 240. + .5)) << 16);
}`;

// One triangle over the whole viewport.
export const SCREEN_VERTEX = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3. : -1., gl_VertexID == 2 ? 3. : -1., 0., 1.); }`;

// How much of a pixel the brain covers, into the overlay's alpha: beside the edge a part, so that it does not look jagged,
// and the neighbour whose colour it takes. 255: all of it; else 8 times a share in units of PART, and one of four sides.
export const EDGE_FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D uGeometry;
uniform bool uSoft;
out vec4 pixel;
int there(ivec2 at) {
  at = clamp(at, ivec2(0), textureSize(uGeometry, 0) - 1);
  return (texelFetch(uGeometry, at, 0).r & 0xffffffu) != 0u ? 1 : 0;
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy), right = ivec2(1, 0), up = ivec2(0, 1);
  int code = 255 * there(at);
  if (uSoft && code == 0) {
    ivec4 side = ivec4(there(at - right), there(at + right), there(at - up), there(at + up));
    int count = min(2, side.x + side.y + side.z + side.w);
    if (count > 0) code = 8 * count + (side.x == 1 ? 0 : side.y == 1 ? 1 : side.z == 1 ? 2 : 3);
  }
  pixel = vec4(0., 0., 0., float(code) / 255.);
}`;

// uColours: colour of every vertex and its opacity over the grey ground, 0 where nothing is painted. A category has
// each pixel in its nearest vertex's colour: what is seen there is what a click there selects.
export const PAINT_FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;
uniform usampler2D uGeometry, uFaces;
uniform sampler2D uColours, uOverlay;   // overlay: white line, its dark rim, highlight, cover
uniform bool uSmooth;
uniform vec3 uGround;
out vec4 pixel;
const float PART = .35;
vec4 colourOf(uint v) { return texelFetch(uColours, ivec2(int(v) & 1023, int(v) >> 10), 0); }
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec4 over = texelFetch(uOverlay, at, 0);
  pixel = vec4(uGround, 1.);
  int code = int(over.a * 255. + .5), side = code & 3;
  if (code == 0) return;
  if (code != 255) at += side < 2 ? ivec2(2 * side - 1, 0) : ivec2(0, 2 * side - 5);
  uvec2 g = texelFetch(uGeometry, at, 0).rg;
  int triangle = int(g.x & 0xffffffu) - 1;
  uvec3 v = texelFetch(uFaces, ivec2(triangle & 1023, triangle >> 10), 0).rgb;
  vec3 weight = vec3(g.y & 255u, g.y >> 8 & 255u, 0.) / 255.;
  weight.z = max(0., 1. - weight.x - weight.y);
  vec4 a = colourOf(v.x), b = colourOf(v.y), c = colourOf(v.z);
  bool first = weight.x >= weight.y && weight.x >= weight.z;
  vec4 ink = first ? a : weight.y >= weight.z ? b : c;
  vec3 colour = vec3(1., 1.012, 1.035) * (float(g.x >> 24) / 255.);
  if (ink.a > 0.) {
    if (uSmooth) {
      weight *= vec3(greaterThan(vec3(a.a, b.a, c.a), vec3(0.)));
      ink = (a * weight.x + b * weight.y + c * weight.z) / (weight.x + weight.y + weight.z);
    }
    colour = mix(colour, ink.rgb * (float(g.y >> 16 & 255u) / 240.), ink.a);
  }
  if (over.rgb != vec3(0.)) {
    colour = mix(colour, vec3(.05, .05, .07), .5 * over.g);
    colour = mix(colour, vec3(1.), .85 * over.r);
    colour = mix(colour, vec3(1., .83, .2), over.b);
  }
  pixel = vec4(mix(uGround, colour, code == 255 ? 1. : PART * float(code >> 3)), 1.);
}`;

// Outlines: two triangles for each segment between the middles of two mesh edges. (Not instanced: software renderers
// are slow at many small instances.)
export const LINE_VERTEX = `${PLACE}
layout(location = 0) in uvec4 aEnds;   // vertices of the first edge, of the second edge
uniform vec2 uPixels;                  // size of the viewport
uniform float uReach;                  // half the width that is drawn, in pixels
out float vAcross;
void main() {
  vec4 a = uClip * vec4((place(int(aEnds.x)) + place(int(aEnds.y))) * .5, 1.);
  vec4 b = uClip * vec4((place(int(aEnds.z)) + place(int(aEnds.w))) * .5, 1.);
  vec2 along = (b.xy - a.xy) * uPixels;
  along = length(along) > 1e-6 ? normalize(along) : vec2(1., 0.);
  int corner = gl_VertexID % 6;          // of the triangles 0 1 2 and 3 4 5: a- a+ b-, b- a+ b+
  bool atB = corner == 2 || corner == 3 || corner == 5;
  float side = corner == 1 || corner == 4 || corner == 5 ? 1. : -1.;
  vec2 shift = (vec2(-along.y, along.x) * side + along * (atB ? .5 : -.5)) * 2. * uReach / uPixels;
  vAcross = side * uReach;
  gl_Position = (atB ? b : a) + vec4(shift, -.005, 0.);
}`;

// Where lines overlap the larger cover counts (blended by MAX), so that joints do not show.
export const LINE_FRAGMENT = `#version 300 es
precision mediump float;
in float vAcross;
uniform vec3 uHalf3;                   // half widths of white line, dark rim and highlight; negative: not drawn
out vec4 pixel;
void main() { pixel = vec4(clamp(uHalf3 + .5 - abs(vAcross), 0., 1.), 0.); }`;

export const MARK_VERTEX = `${PLACE}
layout(location = 0) in uint aUnused;
uniform int uVertex;
uniform float uSize;
void main() {
  gl_Position = uClip * vec4(place(uVertex), 1.);
  gl_Position.z = float(aUnused) * 0.;
  gl_PointSize = uSize;
}`;

export const MARK_FRAGMENT = `#version 300 es
precision mediump float;
uniform vec4 uColour;
uniform float uHollow;
out vec4 pixel;
void main() {
  float r = length(gl_PointCoord - .5) * 2.;
  if (r > 1. || r < uHollow) discard;
  float edge = smoothstep(1., .82, r) * (uHollow > 0. ? smoothstep(uHollow, uHollow + .16, r) : 1.);
  pixel = vec4(mix(vec3(.05), uColour.rgb, edge), uColour.a);
}`;
