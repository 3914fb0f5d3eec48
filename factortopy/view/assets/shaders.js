// GLSL of the view. Vertices are fetched from textures by number, so that triangles, outlines and markers share them.

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

const PAINT = `
uniform sampler2D uPalette;
uniform int uMode;               // 0 category, 1 value (palette of one row), 2 plane
uniform float uDark;             // brightness that is left at alpha 0; negative: fade to the ground
uniform uint uLeast;             // least score byte shown; 0 shows all
const uint NONE = 255u;
bool shown(uvec4 d) { return d.r != NONE && (uLeast == 0u || (d.a != NONE && d.a >= uLeast)); }
vec3 ink(uvec4 d) {
  ivec2 size = textureSize(uPalette, 0);
  if (uMode == 0) return texelFetch(uPalette, ivec2(min(int(d.r), size.x - 1), 0), 0).rgb;
  vec2 at = vec2(d.rg) / 254. * vec2(size - 1);
  return texelFetch(uPalette, ivec2(floor(at + .5)), 0).rgb;
}
vec3 faded(vec3 colour, vec3 ground, float alpha) {
  return uDark < 0. ? mix(ground, colour, alpha) : colour * mix(uDark, 1., alpha);
}
`;

export const MESH_VERTEX = `${PLACE}
layout(location = 0) in uint aVertex;
uniform usampler2D uFaces, uMap;
${PAINT}
uniform vec3 uToViewer;
flat out uvec3 vTriangle;
out vec3 vCorner;                // barycentric coordinates
out vec4 vInk;                   // smooth maps: colour times weight, and weight
out vec3 vShade;                 // alpha, light, sulcal depth
void main() {
  int v = int(aVertex), triangle = gl_VertexID / 3, corner = gl_VertexID - 3 * triangle;
  vTriangle = texelFetch(uFaces, ivec2(triangle & 1023, triangle >> 10), 0).rgb;
  vCorner = vec3(corner == 0, corner == 1, corner == 2);
  uvec4 d = texelFetch(uMap, ivec2(v & 1023, v >> 10), 0);
  float weight = shown(d) ? 1. : 0.;
  vInk = uMode == 0 ? vec4(0.) : vec4(ink(d), 1.) * weight;
  vec4 n = normalOf(v, uKinds.x);
  if (uBlend > 0.) n.xyz = mix(n.xyz, normalOf(v, uKinds.y).xyz, uBlend);
  float facing = max(0., dot(normalize(n.xyz), uToViewer));
  vShade = vec3(float(d.b) / 255., facing, n.w);
  gl_Position = uClip * vec4(place(v), 1.);
}`;

// Each pixel belongs to the triangle's nearest vertex: what is seen there is what a click there selects.
const NEAREST = `
flat in uvec3 vTriangle;
in vec3 vCorner;
uint nearest() {
  if (vCorner.x >= vCorner.y && vCorner.x >= vCorner.z) return vTriangle.x;
  return vCorner.y >= vCorner.z ? vTriangle.y : vTriangle.z;
}
`;

export const MESH_FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;
${NEAREST}
in vec4 vInk;
in vec3 vShade;
uniform usampler2D uMap;
uniform float uLit;              // 1 on surfaces, 0 on the flat map, whose colours are those of the legend
${PAINT}
out vec4 pixel;
void main() {
  int v = int(nearest());
  uvec4 d = texelFetch(uMap, ivec2(v & 1023, v >> 10), 0);
  float depth = smoothstep(.36, .64, vShade.z);
  vec3 ground = mix(vec3(.47, .475, .485), vec3(.315, .32, .33), depth);
  vec3 colour = ground;
  if (shown(d)) {
    vec3 base = uMode == 0 ? ink(d) : vInk.rgb / max(vInk.a, 1e-4);
    float alpha = uMode == 0 ? float(d.b) / 255. : vShade.x;
    colour = faded(base, ground, alpha) * mix(1., mix(1.04, .93, depth), uLit);
  }
  pixel = vec4(colour * mix(1., .52 + .5 * pow(vShade.y, .7), uLit), 1.);
}`;

export const PICK_FRAGMENT = `#version 300 es
precision highp float; precision highp int;
${NEAREST}
out vec4 pixel;
void main() {
  uint i = nearest() + 1u;
  pixel = vec4(float(i & 255u), float((i >> 8) & 255u), float((i >> 16) & 255u), 255.) / 255.;
}`;

// Outlines: two triangles for each segment between the middles of two mesh edges. (Not instanced: software renderers
// are slow at many small instances.)
export const LINE_VERTEX = `${PLACE}
layout(location = 0) in uvec4 aEnds;   // vertices of the first edge, of the second edge
uniform vec2 uPixels;                  // size of the viewport
uniform float uWidth, uLift;
void main() {
  vec4 a = uClip * vec4((place(int(aEnds.x)) + place(int(aEnds.y))) * .5, 1.);
  vec4 b = uClip * vec4((place(int(aEnds.z)) + place(int(aEnds.w))) * .5, 1.);
  vec2 along = (b.xy - a.xy) * uPixels;
  along = length(along) > 1e-6 ? normalize(along) : vec2(1., 0.);
  int corner = gl_VertexID % 6;          // of the triangles 0 1 2 and 3 4 5: a- a+ b-, b- a+ b+
  bool atB = corner == 2 || corner == 3 || corner == 5;
  float side = corner == 1 || corner == 4 || corner == 5 ? 1. : -1.;
  vec2 shift = (vec2(-along.y, along.x) * side + along * (atB ? .5 : -.5)) * uWidth / uPixels;
  gl_Position = (atB ? b : a) + vec4(shift, -uLift, 0.);
}`;

export const LINE_FRAGMENT = `#version 300 es
precision mediump float;
uniform vec4 uColour;
out vec4 pixel;
void main() { pixel = uColour; }`;

export const MARK_VERTEX = `${PLACE}
layout(location = 0) in uint aUnused;
uniform int uVertex;
uniform float uSize;
void main() {
  gl_Position = uClip * vec4(place(uVertex), 1.);
  gl_Position.z -= .012 + float(aUnused) * 0.;
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
