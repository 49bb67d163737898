// Makes a picture of a browser small: flat colours need a palette, not three bytes a pixel.
import assert from 'node:assert/strict';
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const COLOURS_MAX = 256;
const PALETTE = 3;

// The same picture in the colours that it has most of; every other pixel gets the nearest of those.
export function small(png) {
  const { width, height, channels, pixels } = read(png);
  const { palette, nearest } = paletteOf(pixels, channels);
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0, from = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, from += channels) {
      rows[y * (width + 1) + 1 + x] = nearest(colourAt(pixels, from));
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, PALETTE, 0, 0, 0], 8);
  const bytes = Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  const data = deflateSync(rows, { level: 9 });
  const parts = [chunk('IHDR', head), chunk('PLTE', bytes), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([SIGNATURE, ...parts]);
}

const colourAt = (pixels, at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];

function paletteOf(pixels, channels) {
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += channels) {
    const colour = colourAt(pixels, at);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS_MAX);
  const palette = most.map(([colour]) => colour);
  const places = new Map(palette.map((colour, at) => [colour, at]));
  const nearest = (colour) => {
    if (!places.has(colour)) places.set(colour, nearestOf(palette, colour));
    return places.get(colour);
  };
  return { palette, nearest };
}

function nearestOf(palette, colour) {
  const far = (a, b) => [16, 8, 0].reduce((sum, shift) => sum + (((a >> shift) & 255) - ((b >> shift) & 255)) ** 2, 0);
  let best = 0;
  for (let at = 1; at < palette.length; at += 1) {
    if (far(palette[at], colour) < far(palette[best], colour)) best = at;
  }
  return best;
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const around = Buffer.alloc(8);
  around.writeUInt32BE(data.length, 0);
  around.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)]);
}

// The pixels of a picture with 8 bits for each of three or four channels, as browsers write them.
function read(png) {
  assert.ok(png.subarray(0, 8).equals(SIGNATURE), 'a PNG');
  const data = [];
  let head = null;
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const name = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (name === 'IHDR') head = body;
    if (name === 'IDAT') data.push(body);
    at += 12 + length;
  }
  const channels = { 2: 3, 6: 4 }[head[9]];
  assert.ok(head[8] === 8 && channels && head[12] === 0, 'colours of 8 bits, not interlaced');
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  return { width, height, channels, pixels: unfiltered(inflateSync(Buffer.concat(data)), width, height, channels) };
}

// Each row begins with how its bytes go by those to the left (a), above (b), and above to the left (c).
const FILTERS = [
  () => 0,
  (a) => a,
  (a, b) => b,
  (a, b) => (a + b) >> 1,
  (a, b, c) => {
    const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
  },
];

function unfiltered(raw, width, height, channels) {
  const bytes = width * channels;
  const out = Buffer.alloc(bytes * height);
  for (let y = 0; y < height; y += 1) {
    const filter = FILTERS[raw[y * (bytes + 1)]];
    for (let x = 0; x < bytes; x += 1) {
      const at = y * bytes + x;
      const a = x >= channels ? out[at - channels] : 0;
      const b = y > 0 ? out[at - bytes] : 0;
      const c = x >= channels && y > 0 ? out[at - bytes - channels] : 0;
      out[at] = raw[y * (bytes + 1) + 1 + x] + filter(a, b, c);
    }
  }
  return out;
}
