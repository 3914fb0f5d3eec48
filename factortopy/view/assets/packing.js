// Reads the binary messages of factortopy/view/packing.py: a JSON header and named arrays.

const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, f4: Float32Array };

// Returns {header, arrays: {name: TypedArray}}; the arrays are views of one copy that is aligned to 8 bytes.
export function unpack(source) {
  const bytes = source instanceof ArrayBuffer ? new Uint8Array(source) : source;
  const whole = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  if (view.getUint32(0) !== 0x46545631) throw new Error("not a FactorTopy view message");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(whole.subarray(8, 8 + length)));
  const start = Math.ceil((8 + length) / 8) * 8;
  const arrays = {};
  for (const [name, [code, offset, size]] of Object.entries(header.arrays)) {
    arrays[name] = new TYPES[code](whole.buffer, whole.byteOffset + start + offset, size);
  }
  return { header, arrays };
}
