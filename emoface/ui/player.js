// The talking face player. Runs inside gr.HTML's js_on_load(element, trigger, props, server, upload, watch), after common.js.
// props.value: { run, animation: FileData, sounds: [{ label, file: FileData }], autoplay: 'off' | 'on' | 'muted' } (see player.py and pack.py).
// The audio clock is the master: every animation frame of the browser asks the sound where it is and draws that frame of
// the face, so frames are dropped when drawing is slow and the picture can never drift away from the sound.

const find = selector => element.querySelector(selector);
const root = find('.efp'), stage = find('.efp-stage'), panelBox = find('.efp-panels'), message = find('.efp-message');
const audio = find('audio'), seekBar = find('.efp-seek'), playButton = find('.efp-play'), soundButton = find('.efp-sound');
const GREY = [188 / 255, 188 / 255, 192 / 255];
const FRONT = { eye: { x: 0, y: -2.3, z: 0.19 }, center: { x: 0, y: 0, z: 0.1 }, up: { x: 0, y: 0, z: 1 }, projection: { type: 'orthographic' } };
const REACH = 2.7;   // half the edge of the scene's cube, in radii of the head: shoulders and long hair have room in it
// Ends and middle of the "plasma" colour map: ordered by lightness, and far from skin and grey.
const PLASMA = [[13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [219, 92, 104], [244, 136, 73], [254, 188, 43], [240, 249, 33]];
const colormap = Float32Array.from({ length: 768 }, (_, i) => {
  const at = Math.floor(i / 3) / 255 * (PLASMA.length - 1), k = Math.min(PLASMA.length - 2, Math.floor(at)), share = at - k;
  return (PLASMA[k][i % 3] * (1 - share) + PLASMA[k + 1][i % 3] * share) / 255;
});

stage.dataset.count = props.count || 1;

let sought = false;   // whether the sound is on its way to another time
let zoom = 1;   // how many times the head is drawn larger than at first
const DRAWING_SHARE = 0.65, LONGEST_PAUSE_MS = 200;
let stream = null;   // where the frames come from, while they are not those of the animation
let Plotly = null, scene = null, generation = 0, building = 0, leader = null, camera = structuredClone(FRONT);
const lateness = [];   // milliseconds between the frame on screen and the sound, one sample per browser frame while playing

/* ---- the binary file ------------------------------------------------------------------------------------------- */

async function unpack(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error('The animation could not be downloaded (HTTP ' + answer.status + '). Animate again.');
  const buffer = await new Response(answer.body.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(buffer).getUint32(4, true);
  if (new TextDecoder().decode(new Uint8Array(buffer, 0, 4)) !== 'EFP1') throw new Error('The animation file is damaged. Animate again.');
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const { vertices: V, triangles: M, frames: T } = header;
  let offset = 8 + length;
  const take = (Type, count) => { const part = new Type(buffer, offset, count); offset += Math.ceil(part.byteLength / 4) * 4; return part; };
  const faces = take(header.index_bytes === 4 ? Uint32Array : Uint16Array, 3 * M);
  const colors = take(Uint8Array, 3 * V);
  const tracks = header.tracks.map(({ layers, turns }) => {
    const size = 3 * V, bytes = take(Uint8Array, 2 * T * size), half = T * size, positions = new Int16Array(half);
    for (let i = 0; i < half; i++) {
      const difference = (bytes[i] | bytes[half + i] << 8) << 16 >> 16;
      positions[i] = i < size ? difference : positions[i - size] + difference;
    }
    const heat = {};
    for (const [name, S] of Object.entries(layers)) {
      const codes = new Uint8Array(take(Uint8Array, T * S));
      for (let i = S; i < codes.length; i++) codes[i] += codes[i - S];
      heat[name] = { skin: S, codes };
    }
    return { positions, heat, turns };
  });
  return { header, tracks, mesh: header.look && await dressed(header) || bare(header, faces, colors) };
}

/* ---- what is shown: the vertices of the animation themselves, or a finer look that is linear in them (emoface/look.py) ---------------- */

const linear = Float32Array.from({ length: 256 }, (_, i) => i / 255 <= 0.04045 ? i / 255 / 12.92 : ((i / 255 + 0.055) / 1.055) ** 2.4);
const srgb = Float32Array.from({ length: 4096 }, (_, i) => i / 4095 <= 0.0031308 ? i / 4095 * 12.92 : 1.055 * (i / 4095) ** (1 / 2.4) - 0.055);

const bare = (header, faces, colors) =>
  ({ count: header.vertices, skin: header.vertices, faces, colors, gloss: new Float32Array(header.vertices).fill(0.12), look: null });

/** Arrays of one file of the look, loaded once per page. */
const lookFile = name => (emoface.looks ??= {})[name] ??= (async () => {
  const answer = await fetch(served(props.look_url) + name + '.efl');
  if (!answer.ok) throw new Error('The head could not be downloaded (HTTP ' + answer.status + '). Reload the page.');
  const buffer = await new Response(answer.body.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const length = new DataView(buffer).getUint32(4, true), header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const types = { uint8: Uint8Array, int8: Int8Array, int16: Int16Array, uint16: Uint16Array, float32: Float32Array }, out = { about: header.about };
  let offset = 8 + length;
  for (const [array, kind, shape] of header.arrays) {
    out[array] = new types[kind](buffer, offset, shape.reduce((a, b) => a * b, 1));
    offset += Math.ceil(out[array].byteLength / 4) * 4;
  }
  return out;
})().catch(error => { delete emoface.looks[name]; throw error; });

/** The look of the animation's head; null for an animation made for an older head, which is shown as it is. */
async function dressed(header) {
  const { head, hair, inverse } = header.look;
  const [base, locks, own] = await Promise.all([lookFile('base'), lookFile('hair_' + hair), lookFile('head_' + String(head).padStart(2, '0'))]);
  if (base.about.topology !== header.topology || base.about.vertices !== header.vertices) return null;
  const join = (Type, a, b) => { const all = new Type(a.length + b.length); all.set(a); all.set(b, a.length); return all; };
  const count = base.counts.length + locks.counts.length, faces = [];
  for (let f = 0; f < base.faces.length / 3; f++) {
    if (own.shown[f >> 3] & 128 >> (f & 7)) faces.push(base.faces[3 * f], base.faces[3 * f + 1], base.faces[3 * f + 2]);
  }
  const oneSided = faces.length;
  for (const corner of locks.faces) faces.push(corner + base.counts.length);
  const look = { oneSided, hair: base.counts.length,   // number of corners that count only from outside; first vertex of the hair
                 counts: join(Uint8Array, base.counts, locks.counts), indices: join(Uint16Array, base.indices, locks.indices),
                 weights: join(Float32Array, base.weights, locks.weights), offset: Float32Array.from(own.offset, value => value * 1e-5),
                 anchors: base.about.anchors, inverse, radius: header.radius, ...movingParts(base, own, header.radius) };
  return { count, skin: base.about.skin_count, faces: Uint32Array.from(faces), colors: own.colors,
           gloss: Float32Array.from(join(Uint8Array, base.gloss, locks.gloss), value => value / 255), look };
}

/** Heads' vertices (planar, metres over the radius) -> shown ones: matrix @ vertices + frame @ offset. */
function refine(mesh, coarse, shown, frame) {
  const V = coarse.length / 3, D = mesh.count;
  if (!mesh.look) { shown.set(coarse); return; }
  const { counts, indices, weights, offset } = mesh.look;
  const [a, b, c, d, e, f, g, h, l] = frame;
  for (let v = 0, at = 0; v < D; v++) {
    let x = 0, y = 0, z = 0;
    for (let n = counts[v]; n > 0; n--, at++) {
      const from = indices[at], weight = weights[at];
      x += weight * coarse[from]; y += weight * coarse[V + from]; z += weight * coarse[2 * V + from];
    }
    const p = offset[3 * v], q = offset[3 * v + 1], r = offset[3 * v + 2];
    shown[v] = x + a * p + b * q + c * r;
    shown[D + v] = y + d * p + e * q + f * r;
    shown[2 * D + v] = z + g * p + h * q + l * r;
  }
}

/** Unit normals of the vertices, each the mean over its triangles by their area. */
function smoothNormals(faces, shown, normals) {
  const D = shown.length / 3;
  normals.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f], b = faces[f + 1], c = faces[f + 2];
    const ux = shown[b] - shown[a], uy = shown[D + b] - shown[D + a], uz = shown[2 * D + b] - shown[2 * D + a];
    const vx = shown[c] - shown[a], vy = shown[D + c] - shown[D + a], vz = shown[2 * D + c] - shown[2 * D + a];
    const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
    normals[3 * a] += x; normals[3 * a + 1] += y; normals[3 * a + 2] += z;
    normals[3 * b] += x; normals[3 * b + 1] += y; normals[3 * b + 2] += z;
    normals[3 * c] += x; normals[3 * c + 1] += y; normals[3 * c + 2] += z;
  }
  for (let i = 0; i < normals.length; i += 3) {
    const inverse = 1 / (Math.sqrt(normals[i] ** 2 + normals[i + 1] ** 2 + normals[i + 2] ** 2) || 1);
    normals[i] *= inverse; normals[i + 1] *= inverse; normals[i + 2] *= inverse;
  }
}

/** Corners of the triangles that face the viewer go into ``indices``, and 1 into ``seen`` for their vertices; returns how many. What is turned away is
 *  hidden by what is not, which halves the work of a processor that has to draw; strands of hair have both sides near their outline, and a mesh without a look may
 *  be open, so all of it counts. */
function findFacing({ faces, look }, shown, [px, py, pz], indices, seen) {
  if (!look) { indices.set(faces); seen.fill(1); return faces.length; }
  const D = shown.length / 3;
  let used = 0;
  seen.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f], b = faces[f + 1], c = faces[f + 2];
    const ux = shown[b] - shown[a], uy = shown[D + b] - shown[D + a], uz = shown[2 * D + b] - shown[2 * D + a];
    const vx = shown[c] - shown[a], vy = shown[D + c] - shown[D + a], vz = shown[2 * D + c] - shown[2 * D + a];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx, facing = nx * px + ny * py + nz * pz;
    if (facing <= 0 && (f < look.oneSided || facing < -0.35 * Math.sqrt(nx * nx + ny * ny + nz * nz))) continue;   // strands close the outline of the hair
    indices[used] = a; indices[used + 1] = b; indices[used + 2] = c;
    seen[a] = seen[b] = seen[c] = 1;
    used += 3;
  }
  return used;
}

/** Axes of a camera (right, up, toward the viewer) in the head's axes, from Plotly's (x right, y away, z up). */
function cameraAxes({ eye, center, up }) {
  const unit = v => { const n = Math.hypot(...v) || 1; return v.map(x => x / n); };
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const back = unit([eye.x - center.x, eye.y - center.y, eye.z - center.z]), right = unit(cross([up.x, up.y, up.z], back));
  return [right, cross(back, right), back].map(([x, y, z]) => [x, z, -y]);
}

const SPARKLING = 0.7;   // gloss of what is wet, as in export/shading.py
const srgbByte = Uint8ClampedArray.from(srgb, value => 255 * value);
/** A soft shoulder above 3/4, so that bright skin rolls off instead of burning out; then sRGB. */
const toned = value => srgbByte[(value > 0.75 ? 1 - 0.25 * Math.exp((0.75 - value) * 4) : value) * 4095 + 0.5 | 0];
/** Light the vertices that are ``seen`` as the films do (export/shading.py: one studio that travels with the camera); ``props.light`` are its LIGHTS.
 *  ``colors`` (sRGB bytes, 3 each) before light, of which folds have ``taken`` their share -> ``lit`` (4 each). On ``painted`` skin, colours that stand for numbers are those of the bar, in no
 *  light; grey ones, which stand for none, keep the light that shows the shape. */
function light({ gloss, skin, look }, normals, colors, taken, seen, axes, painted, lit) {
  const [key, keyColor, fill, fillColor, rim, rimColor, half, sky, ground, wrap, [highlight], spark] = props.light;
  const turned = direction => [0, 1, 2].map(k => direction[0] * axes[0][k] + direction[1] * axes[1][k] + direction[2] * axes[2][k]);
  const [kx, ky, kz] = turned(key), [fx, fy, fz] = turned(fill), [rx, ry, rz] = turned(rim), [hx, hy, hz] = turned(half), [sx, sy, sz] = turned(spark), [ux, uy, uz] = axes[1], [vx, vy, vz] = axes[2];
  const [w0, w1, w2] = wrap, [k0, k1, k2] = keyColor.map((value, k) => value / (1 + wrap[k])), [f0, f1, f2] = fillColor.map((value, k) => value / (1 + wrap[k]));
  const [m0, m1, m2] = ground.map((value, k) => (value + sky[k]) / 2), [d0, d1, d2] = ground.map((value, k) => (sky[k] - value) / 2), [r0, r1, r2] = rimColor;
  const hair = look ? look.hair : Infinity;
  for (let i = 0, p = 0, q = 0; i < seen.length; i++, p += 3, q += 4) {
    if (!seen[i]) continue;
    let x = normals[p], y = normals[p + 1], z = normals[p + 2];
    if (i >= hair && x * vx + y * vy + z * vz < 0) { x = -x; y = -y; z = -z; }   // the back of a strand
    const shine = gloss[i] * gloss[i];
    const atKey = x * kx + y * ky + z * kz, atFill = x * fx + y * fy + z * fz, up = x * ux + y * uy + z * uz;
    const away = Math.min(Math.max(1 - (x * vx + y * vy + z * vz), 0), 1), edge = away * away * Math.max(x * rx + y * ry + z * rz + 0.25, 0);
    const atHalf = gloss[i] > SPARKLING ? x * sx + y * sy + z * sz : x * hx + y * hy + z * hz;
    const glint = atHalf > 0.5 ? highlight * (Math.min(0.5 * gloss[i], 0.05) + 0.85 * shine) * atHalf ** (12 + 320 * shine) : 0;
    let a0 = linear[colors[p]], a1 = linear[colors[p + 1]], a2 = linear[colors[p + 2]];
    if (taken[i]) { a0 *= 1 - taken[i] * CREASE_TINT[0]; a1 *= 1 - taken[i] * CREASE_TINT[1]; a2 *= 1 - taken[i] * CREASE_TINT[2]; }
    lit[q] = toned(a0 * (Math.max(atKey + w0, 0) * k0 + Math.max(atFill + w0, 0) * f0 + m0 + up * d0 + edge * r0) + glint);
    lit[q + 1] = toned(a1 * (Math.max(atKey + w1, 0) * k1 + Math.max(atFill + w1, 0) * f1 + m1 + up * d1 + edge * r1) + glint);
    lit[q + 2] = toned(a2 * (Math.max(atKey + w2, 0) * k2 + Math.max(atFill + w2, 0) * f2 + m2 + up * d2 + edge * r2) + glint);
    if (!painted || i >= skin) continue;
    const share = Math.min(1, 12 * Math.max(Math.abs(a0 - a1), Math.abs(a1 - a2)));
    for (let k = 0; k < 3; k++) lit[q + k] += share * (colors[p + k] - lit[q + k]);
  }
}

/* ---- one panel: a Plotly mesh, drawn fast where its internals allow, through Plotly.restyle where not ------------- */

/** The shown vertices of frame t: in the head's axes (x right, y up, z toward the viewer) with normals and colours before light, and in Plotly's (x right, y away, z up). */
function fillFrame(panel, t) {
  const { header, tracks, mesh } = scene, V = header.vertices, D = mesh.count, track = tracks[panel.track];
  const { coarse, shown, normals, places, taken } = panel.buffers, scale = header.step / header.radius;
  const from = 3 * V * t, q = track.positions;
  if (panel.blended) blendInto(coarse, t, scale);
  else for (let i = 0; i < 3 * V; i++) coarse[i] = q[from + i] * scale;
  const frame = mesh.look && skullFrame(mesh.look, coarse);
  if (mesh.look) settle(mesh.look, coarse, frame);
  refine(mesh, coarse, shown, frame);
  const turn = track.turns?.[t];
  if (turn) turnHead(panel, shown, turn);
  smoothNormals(mesh.faces, shown, normals);
  paint(panel, t);
  if (mesh.look && panel.painted === 'skin') crease(mesh.look, coarse, turn ? product(turn, frame) : frame, normals, taken);   // colours that stand for numbers are not shaded
  else taken.fill(0);
  for (let v = 0, p = 0; v < D; v++, p += 3) { places[p] = shown[v]; places[p + 1] = -shown[2 * D + v]; places[p + 2] = shown[D + v]; }
  panel.lit = false;
}

/** Turn the skull, and of the neck the share that emoface/head_motion.py says; what is above and below follows whole or not at all. */
function turnHead(panel, shown, turn) {
  const { header, mesh } = scene, { pivot, slope, low, high } = header.neck, D = mesh.count, metre = 1 / header.radius;
  const [px, py, pz] = pivot.map((value, k) => (value - header.centre[k]) * metre);
  if (!panel.shares) {   // of the first frame drawn: a face moves too little to change them
    const level = header.centre[1] + slope * header.centre[2];
    panel.shares = Float32Array.from({ length: D }, (_, v) => {
      const x = Math.min(Math.max((level + (shown[D + v] + slope * shown[2 * D + v]) / metre - low) / (high - low), 0), 1);
      return x * x * (3 - 2 * x);
    });
  }
  for (let v = 0; v < D; v++) {
    const share = panel.shares[v], x = shown[v] - px, y = shown[D + v] - py, z = shown[2 * D + v] - pz;
    shown[v] += share * ((turn[0] - 1) * x + turn[1] * y + turn[2] * z);
    shown[D + v] += share * (turn[3] * x + (turn[4] - 1) * y + turn[5] * z);
    shown[2 * D + v] += share * (turn[6] * x + turn[7] * y + (turn[8] - 1) * z);
  }
}

/** Of two 3 x 3 matrices, row by row. */
const product = (a, b) => a.map((_, n) => a[n - n % 3] * b[n % 3] + a[n - n % 3 + 1] * b[n % 3 + 3] + a[n - n % 3 + 2] * b[n % 3 + 6]);

/** A directed face: neutral + sum of weight x (expression - neutral), the weights as the keys of the curve say (emoface/curve.py). */
function blendInto(coarse, t, scale) {
  const { header, tracks, names, keys } = scene, size = coarse.length, from = size * t, seconds = t / header.fps;
  let next = keys.findIndex(([time]) => time > seconds);
  if (next < 0) next = keys.length;
  const [t0, w0] = keys[Math.max(next - 1, 0)], [t1, w1] = keys[Math.min(next, keys.length - 1)], share = t1 > t0 ? (seconds - t0) / (t1 - t0) : 0;
  let rest = scale;
  coarse.fill(0);
  names.forEach((name, at) => {
    const weight = scale * ((w0[name] || 0) + share * ((w1[name] || 0) - (w0[name] || 0)));
    if (!weight || name === 'neutral') return;
    rest -= weight;
    for (let i = 0, q = tracks[at].positions; i < size; i++) coarse[i] += weight * q[from + i];
  });
  for (let i = 0, q = tracks[names.indexOf('neutral')].positions; i < size; i++) coarse[i] += rest * q[from + i];
}

/** Colours before light (sRGB bytes): the head's own, or on its skin those of a layer; a fine vertex mixes its coarse ones. */
function paint(panel, t) {
  const { mesh, tracks } = scene, { colors, heatColors } = panel.buffers, name = layerOf(panel), heat = name && tracks[panel.track].heat[name];
  if (panel.painted !== (heat ? name : 'skin')) colors.set(mesh.colors);
  panel.painted = heat ? name : 'skin';
  if (!heat) return;
  const base = heat.skin * t;
  for (let i = 0; i < heat.skin; i++) {
    const code = heat.codes[base + i];
    for (let k = 0; k < 3; k++) heatColors[3 * i + k] = code > 0 ? colormap[Math.round((code - 1) / 254 * 255) * 3 + k] : GREY[k];
  }
  const shownSkin = mesh.look ? mesh.skin : heat.skin;
  for (let v = 0, at = 0; v < shownSkin; v++) {
    let r = 0, g = 0, b = 0;
    if (mesh.look) for (let n = mesh.look.counts[v]; n > 0; n--, at++) {
      const j = 3 * mesh.look.indices[at], weight = mesh.look.weights[at];
      r += weight * heatColors[j]; g += weight * heatColors[j + 1]; b += weight * heatColors[j + 2];
    } else { r = heatColors[3 * v]; g = heatColors[3 * v + 1]; b = heatColors[3 * v + 2]; }
    colors[3 * v] = r * 255 + 0.5; colors[3 * v + 1] = g * 255 + 0.5; colors[3 * v + 2] = b * 255 + 0.5;
  }
}
const eyeOf = panel => panel.plot._fullLayout?.scene?._scene?.getCamera?.() || camera;
const cssColors = lit => Array.from({ length: lit.length / 4 }, (_, i) => 'rgb(' + lit[4 * i] + ',' + lit[4 * i + 1] + ',' + lit[4 * i + 2] + ')');

/** A painter in place of Plotly's way of drawing a mesh, or null: these are Plotly's private parts, so everything is checked. */
function fastPath(panel) {
  const glScene = panel.plot._fullLayout?.scene?._scene, glplot = glScene?.glplot, mesh = glScene && Object.values(glScene.traces)[0]?.mesh;
  if (props.fast === false || !mesh?.draw || !glScene.dataScale || !glplot?.redraw || !glplot.axes || !glplot.gl || !glplot.remove) return null;
  const { faces, count } = scene.mesh;
  let painter;
  try { painter = makePainter(glplot.gl, { count, corners: faces.length }); }
  catch (error) { console.warn('EmoFace: Plotly draws the face itself', error); return null; }
  mesh.draw = camera => {
    const axes = viewAxes(camera.view);
    if (!panel.lit || turned(axes, panel.axes)) painter.send(panel.buffers.places, panel.buffers.lit, illuminate(panel, axes, painter.indices));
    painter.draw(camera, glScene.dataScale);
  };
  // Nobody picks vertices, and the empty axes need no pass of their own: each would draw or read back the whole picture once more.
  glplot.remove(mesh);
  mesh.pickSlots = 0;
  mesh.drawPick = null;
  glplot.add(mesh);
  glplot.axes.enable = false;
  glplot.onrender = null;   // hover labels and ticks
  return { glScene };
}
/** Axes of the camera in the head's axes, from the matrix that turns Plotly's (x right, y away, z up) into the camera's. */
const viewAxes = view => [0, 1, 2].map(row => [view[row], view[8 + row], -view[4 + row]]);
const turned = (axes, before) => axes.some((axis, n) => axis.some((value, k) => Math.abs(value - before[n][k]) > 1e-6));

/** Which triangles face the camera (their corners go into ``indices``, their number is returned), and how what is seen is lit: the light travels with it. */
function illuminate(panel, axes, indices) {
  const { shown, normals, colors, taken, seen, lit } = panel.buffers;
  panel.axes = axes;
  panel.lit = true;
  const used = findFacing(scene.mesh, shown, axes[2], indices, seen);
  light(scene.mesh, normals, colors, taken, seen, axes, panel.painted !== 'skin', lit);
  return used;
}

/** What Plotly itself needs: places, and finished colours in the light of the camera. */
function plotlyData(panel) {
  const { places, lit } = panel.buffers, along = axis => Float32Array.from({ length: scene.mesh.count }, (_, v) => places[3 * v + axis]);
  illuminate(panel, cameraAxes(eyeOf(panel)), new Uint32Array(scene.mesh.faces.length));
  return { x: along(0), y: along(1), z: along(2), vertexcolor: cssColors(lit) };
}

function drawPanel(panel, t) {
  fillFrame(panel, t);
  if (panel.fast) return panel.fast.glScene.glplot.redraw();
  if (panel.busy) { scene.dirty = true; return; }   // a slow restyle is still running: this frame is dropped, the next one is drawn
  panel.busy = true;
  const change = Object.fromEntries(Object.entries({ ...plotlyData(panel), ...(panel.stub ? corners(scene.mesh.faces) : {}) }).map(([name, list]) => [name, [list]]));
  panel.stub = false;
  Plotly.restyle(panel.plot, change, [0]).finally(() => { panel.busy = false; });
}
const corners = faces => Object.fromEntries(['i', 'j', 'k'].map((name, c) => [name, Array.from({ length: faces.length / 3 }, (_, f) => faces[3 * f + c])]));

/* ---- the scene ----------------------------------------------------------------------------------------------------- */

const layerOf = panel => panel.layer || find('.efp-layer').value || null;
const frameAt = seconds => Math.max(0, Math.min(scene.header.frames - 1, Math.floor(seconds * scene.header.fps + 1e-4)));
const clockText = seconds => Math.floor(seconds / 60) + ':' + (seconds % 60 < 10 ? '0' : '') + (Math.floor(seconds * 10) / 10 % 60).toFixed(1);

function draw(t) {
  scene.dirty = false;
  for (const panel of scene.panels) drawPanel(panel, t);
  scene.shown = t;
  scene.drawn++;
  const seconds = Math.min(audio.currentTime, scene.duration);
  if (document.activeElement !== seekBar || !audio.paused) seekBar.value = seconds;
  seekBar.style.setProperty('--at', seconds / scene.duration * 100 + '%');
  seekBar.setAttribute('aria-valuetext', seconds.toFixed(1) + ' of ' + scene.duration.toFixed(1) + ' seconds');
  find('.efp-time').textContent = clockText(seconds) + ' / ' + clockText(scene.duration);
  window.dispatchEvent(new CustomEvent('emoface:time', { detail: { id: props.player_id, seconds, duration: scene.duration } }));
}

/** Frames that come while they are shown (live.js): ``frame(now, newest)`` gives the positions of the one that is due, or of the newest, or null; ``drawn(now)`` is
 *  told. Where the processor draws, the server may need the same one: there the mesh is coarser, drawing takes two thirds of the time at most, and frames are left out. */
function drawStream() {
  const now = performance.now();
  if (stream.began && drawing().slow) stream.next = stream.began + Math.min((now - stream.began) / DRAWING_SHARE, LONGEST_PAUSE_MS);
  stream.began = 0;
  if (now < stream.next) return;
  const positions = stream.frame(now, drawing().slow);
  if (positions) { Object.assign(scene.tracks[0], { positions, turns: [stream.turn?.()] }); scene.dirty = true; }
  if (!scene.dirty) return;
  scene.dirty = false;
  stream.began = now;   // the browser calls again when this drawing is done
  for (const panel of scene.panels) drawPanel(panel, 0);
  scene.drawn++;
  if (positions) stream.drawn(performance.now());
}

function tick() {
  if (scene?.panels.length && stream) drawStream();
  else if (scene?.panels.length) {
    if (leader) followLeader();
    const t = frameAt(audio.currentTime);
    if (!audio.paused && scene.shown >= 0) {
      lateness.push(Math.max(0, audio.currentTime - (scene.shown + 1) / scene.header.fps) * 1000 / audio.playbackRate);
      if (lateness.length > 2000) lateness.shift();
    }
    if (t !== scene.shown || scene.dirty) draw(t);
  }
  requestAnimationFrame(tick);
}

function say(text, bad = false) {
  message.textContent = text;
  message.classList.toggle('bad', bad);
}

/** Plotly's picture of a panel; a ``stub`` has only one triangle, which the fast way of drawing replaces. */
function figure(panel, stub) {
  // An axis with "visible: false" still has its labels and ticks turned into triangles, which takes as long as all the rest: empty them instead.
  const axis = { range: [-REACH, REACH], autorange: false, title: { text: '' }, tickmode: 'array', tickvals: [], showticklabels: false, showgrid: false,
                 zeroline: false, showline: false, showbackground: false, showspikes: false };
  const data = stub ? { x: [0, 1e-3, 0], y: [0, 0, 0], z: [0, 0, 1e-3], i: [0], j: [1], k: [2], vertexcolor: Array(3).fill('#888') }
    : { ...plotlyData(panel), ...corners(scene.mesh.faces) };
  return [
    [{ type: 'mesh3d', ...data, hoverinfo: 'skip', showscale: false,   // the light is in the colours
       lighting: { ambient: 1, diffuse: 0, specular: 0, roughness: 1, fresnel: 0, vertexnormalsepsilon: 0, facenormalsepsilon: 0 } }],
    { autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: 'rgba(0,0,0,0)', uirevision: 'face', hovermode: false,
      scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: 'manual', aspectratio: { x: 2 * REACH * zoom, y: 2 * REACH * zoom, z: 2 * REACH * zoom }, dragmode: 'turntable', hovermode: false, camera: structuredClone(camera) } },
    { displayModeBar: false, responsive: false, plotGlPixelRatio: Math.max(1, Math.min(window.devicePixelRatio || 1, 1.5)), scrollZoom: false, doubleClick: false },
  ];
}

/** The panel that the visitor turns leads the others. Plotly's events tell the camera before the last movement is in it, so they only say who
 *  leads; what the others follow is read in every frame until it has been at rest for half a second. */
function linkCamera(panel) {
  const lead = event => {
    const told = event['scene.camera'];
    if (!told || JSON.stringify(told) === panel.turnedTo) return;   // not the visitor: what this panel was told itself
    panel.wanted = null;
    leader = { panel, until: performance.now() + 500 };
  };
  panel.plot.on('plotly_relayouting', lead);
  panel.plot.on('plotly_relayout', lead);
}
function followLeader() {
  const now = leader.panel.plot._fullLayout?.scene?._scene.getCamera();
  if (now && JSON.stringify(now) !== JSON.stringify(camera)) {
    camera = now;
    leader.until = performance.now() + 500;
    for (const panel of scene.panels) if (panel !== leader.panel) aim(panel, now);
  } else if (performance.now() > leader.until) {
    for (const panel of scene.panels) if (panel !== leader.panel && panel.aimed) turn(panel, camera);   // Plotly's own notes follow when all is at rest
    leader = null;
  }
}
/** Point a panel's camera while another one is being turned: a whole layout for every movement of the mouse would take longer than the drawing. */
function aim(panel, to) {
  const view = panel.fast?.glScene.camera;
  if (!view?.lookAt || panel.following) return turn(panel, to);
  view.lookAt(...[to.eye, to.center, to.up].map(({ x, y, z }) => [x, y, z]));
  panel.aimed = true;
}

/** Point a panel's camera without an event of its own; while one camera is being applied the newest waits, the others are forgotten. */
async function turn(panel, to) {
  panel.wanted = structuredClone(to);
  panel.aimed = false;
  if (panel.following) return;
  panel.following = true;
  try {
    while (panel.wanted) {
      const next = panel.wanted;
      panel.wanted = null;
      panel.turnedTo = JSON.stringify(next);
      await Plotly.relayout(panel.plot, { 'scene.camera': next });
    }
  } finally {
    panel.following = false;
    if (scene) scene.dirty = true;
  }
}

function clearPanels() {
  building++;
  leader = null;
  for (const panel of scene?.panels || []) Plotly.purge(panel.plot);
  panelBox.replaceChildren();
}

function buffersFor({ count: D }) {
  const V = scene.header.vertices, floats = size => new Float32Array(size);
  return { coarse: floats(3 * V), heatColors: floats(3 * V), shown: floats(3 * D), normals: floats(3 * D), places: floats(3 * D),
           colors: new Uint8Array(3 * D), taken: floats(D), seen: new Uint8Array(D), lit: new Uint8Array(4 * D) };
}

/** Show the face with another mesh that fits into what the panels have. */
function exchange(mesh) {
  scene.mesh = mesh;
  for (const panel of scene.panels) Object.assign(panel, { buffers: buffersFor(mesh), painted: null, shares: null });
  scene.dirty = true;
}

/** Boxes for all panels first (so that nothing moves later), then the plots, one after another. A newer build (or none) ends this one. */
async function build(view) {
  clearPanels();
  const job = building;
  const panels = [];
  stage.dataset.count = view.panels.length;
  for (const spec of view.panels) {
    const box = document.createElement('figure'), plot = document.createElement('div'), caption = document.createElement('figcaption');
    const bar = document.createElement('div');
    plot.className = 'efp-plot';
    plot.setAttribute('role', 'img');
    bar.className = 'efp-scale';
    box.append(plot, caption, bar);
    panelBox.append(box);
    panels.push({ plot, caption, bar, buffers: buffersFor(scene.mesh) });
  }
  scene.panels = [];
  describe(panels, view);
  for (const panel of panels) {
    if (props.fast === false) fillFrame(panel, frameAt(audio.currentTime || 0));
    await newPlot(panel.plot, figure(panel, props.fast !== false));
    if (job !== building) return panels.forEach(({ plot }) => Plotly.purge(plot));
    panel.fast = fastPath(panel);
    panel.stub = props.fast !== false && !panel.fast;
    linkCamera(panel);
    panel.plot.querySelector('canvas')?.addEventListener('webglcontextlost', () => say('The browser took the 3D view away (too many open pages use it). Close some and reload this page.', true));
  }
  scene.panels = panels;
  scene.dirty = true;
}

/** Captions, colour bars and screen-reader names; all text through textContent. */
function describe(panels, view) {
  view.panels.forEach((spec, at) => {
    const panel = panels[at];
    Object.assign(panel, { track: spec.track, layer: spec.layer, sound: spec.sound, blended: spec.blended, label: spec.caption, painted: null });
    panel.caption.textContent = spec.caption;
    panel.caption.hidden = !spec.caption;
    panel.plot.setAttribute('aria-label', '3D face animation' + (spec.caption ? ', ' + spec.caption : '') + '. Drag to look around.');
    colorBar(panel);
  });
}

function colorBar(panel) {
  const name = layerOf(panel), layer = scene.tracks[panel.track].heat[name] && scene.header.layers.find(l => l.id === name);
  panel.bar.replaceChildren();
  panel.bar.classList.toggle('on', !!layer);
  if (!layer) return;
  const part = (cls, text) => { const node = document.createElement('span'); node.className = cls; node.textContent = text; panel.bar.append(node); };
  const number = value => (Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 1 ? 1 : 2)) + (layer.unit ? ' ' + layer.unit : '');
  part('efp-layername', layer.label);
  part('efp-low', number(layer.low));
  part('efp-ramp', '');
  part('efp-high', number(layer.high));
  if (layer.note) part('efp-note', layer.note);
}

/** Choices of view and colour that this animation offers. */
function offer(select, field, options, keep) {
  select.replaceChildren(...options.map(([value, label]) => { const option = document.createElement('option'); option.value = value; option.textContent = label; return option; }));
  if (options.some(([value]) => value === keep)) select.value = keep;
  field.hidden = options.length < 2;
}
function offerLayers(view) {
  const names = new Set(view.panels.filter(panel => !panel.layer).flatMap(panel => Object.keys(scene.tracks[panel.track].heat)));
  const layers = scene.header.layers.filter(layer => names.has(layer.id)).map(layer => [layer.id, layer.label]);
  offer(find('.efp-layer'), find('.efp-layerfield'), [['', 'Skin'], ...layers], find('.efp-layer').value);
}

const currentView = () => scene.header.views[Number(find('.efp-view').value) || 0];

/** Multisampling halves the frame rate where the processor has to draw: ask for none there. */
async function newPlot(plot, parts) {
  const original = HTMLCanvasElement.prototype.getContext;
  if (drawing().slow) {
    HTMLCanvasElement.prototype.getContext = function (type, options) { return original.call(this, type, options && { ...options, antialias: false }); };
  }
  try { await Plotly.newPlot(plot, ...parts); } finally { HTMLCanvasElement.prototype.getContext = original; }
}

function clearScene() {
  if (scene) {
    clearPanels();
    audio.pause();
    audio.removeAttribute('src');
    for (const url of scene.sounds) URL.revokeObjectURL(url);
    scene = null;
  }
  enable(false);
}

async function show(value) {
  const mine = ++generation;
  stream = null;
  if (!value || !value.animation) {
    clearScene();
    return say(props.empty || 'Nothing to show yet.');
  }
  root.dataset.state = 'loading';
  try {
    if (!drawing().webgl) {
      throw new Error('This browser cannot draw in 3D (WebGL is off). Turn on hardware acceleration or use another browser; the downloads work without it.');
    }
    if (!scene) say('Loading the animation…');
    const [next, sounds] = await Promise.all([
      unpack(value.animation.url),
      Promise.all(value.sounds.map(({ file }) => download(file.url))),
      loadLibrary(served(props.plotly_url)),
    ]);
    if (mine !== generation) return;
    Plotly = window.Plotly;
    audio.pause();
    for (const url of scene?.sounds || []) URL.revokeObjectURL(url);
    const old = scene, same = old && old.mesh.faces.length === next.mesh.faces.length && old.mesh.count === next.mesh.count && old.mesh.faces.every((v, i) => v === next.mesh.faces[i]);
    const panels = old?.panels || [];
    scene = Object.assign(next, { panels, shown: -1, drawn: 0, dirty: true, duration: next.header.frames / next.header.fps, run: value.run, made: value.made, sounds: sounds.map(sound => URL.createObjectURL(sound)) });
    offer(find('.efp-track'), find('.efp-soundfield'), value.sounds.map(({ label }, at) => [String(at), label]), '0');
    hear(0);
    seekBar.max = scene.duration;
    Object.assign(scene, { names: value.names, keys: value.keys });
    if (value.keys) scene.header.views[0].panels[0].blended = true;
    offer(find('.efp-view'), find('.efp-viewfield'), scene.header.views.map((view, at) => [String(at), view.label]), find('.efp-view').value);
    const view = currentView();
    offerLayers(view);
    if (same && panels.length === view.panels.length) describe(panels, view);   // same mesh: only the numbers change
    else await build(view);
    if (mine !== generation) return;
    markHeard();
    say('');
    enable(true);
    trigger('face_ready', { frames: scene.header.frames });
    start(value.autoplay);
  } catch (error) {
    if (mine !== generation) return;
    console.error(error);
    clearScene();
    say(error.message, true);
  }
}

async function download(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error('The sound could not be downloaded (HTTP ' + answer.status + '). Animate again.');
  return answer.blob();
}

/** Switch to one of the sounds, at a time and at the chosen speed; faces that speak it are marked. */
function hear(index, seconds = 0) {
  const playing = !audio.paused;
  audio.src = scene.sounds[index];
  audio.playbackRate = Number(find('.efp-rate').value);
  if (seconds) audio.addEventListener('loadedmetadata', () => {
    audio.currentTime = seconds;
    if (playing) audio.play().catch(() => {});
  }, { once: true });
  markHeard();
}
function markHeard() {
  const index = Number(find('.efp-track').value) || 0;
  for (const panel of scene.panels) panel.caption.parentElement.classList.toggle('heard', scene.sounds.length > 1 && panel.sound === index);
}

function enable(on) {
  root.dataset.state = on ? 'ready' : 'empty';
  seekBar.disabled = playButton.disabled = !on;
  soundButton.hidden = true;
}

/** Play after a click of the visitor; silently (and only where motion is welcome) when the page opens by itself. */
async function start(autoplay) {
  obeyButtons();
  if (autoplay === 'on') {
    const { top, bottom } = stage.getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) root.scrollIntoView({ block: bottom - top < innerHeight ? 'nearest' : 'start', behavior: 'smooth' });
    try { return await audio.play(); } catch (error) {
      if (error.name !== 'NotAllowedError') return;   // paused at once; else the browser wants a click first: play silently instead
    }
  }
  if (!autoplay || autoplay === 'off' || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  audio.muted = true;
  audio.loop = true;
  soundButton.hidden = false;
  await audio.play().catch(() => {});
}

/* ---- controls ------------------------------------------------------------------------------------------------------ */

/** A preview is silent and repeats, whatever the buttons say; everything else does what they say. */
function obeyButtons() {
  audio.muted = pressed(find('.efp-mute'));
  audio.loop = pressed(find('.efp-loop'));
}

/** The silent preview ends with the first real command. */
function endPreview() {
  if (soundButton.hidden) return;
  soundButton.hidden = true;
  obeyButtons();
}
const toggle = () => {
  if (!scene) return;
  endPreview();
  if (audio.paused) audio.play().catch(error => say('The browser did not let the sound play: ' + error.message, true));
  else audio.pause();
};
const seek = seconds => {
  if (!scene) return;
  endPreview();
  sought = true;
  audio.currentTime = seekBar.value = Math.max(0, Math.min(scene.duration - 1e-3, seconds));
  scene.dirty = true;
};
const press = (button, on) => button.setAttribute('aria-pressed', String(on));
const pressed = button => button.getAttribute('aria-pressed') === 'true';

playButton.onclick = toggle;
soundButton.onclick = () => { endPreview(); audio.currentTime = 0; if (audio.paused) toggle(); };
seekBar.oninput = () => seek(Number(seekBar.value));
find('.efp-loop').onclick = event => { endPreview(); press(event.currentTarget, !pressed(event.currentTarget)); audio.loop = pressed(event.currentTarget); };
find('.efp-mute').onclick = event => { endPreview(); press(event.currentTarget, !pressed(event.currentTarget)); audio.muted = pressed(event.currentTarget); };
const look = to => { leader = null; camera = to; for (const panel of scene?.panels || []) turn(panel, to); };
const front = () => { look(structuredClone(FRONT)); enlarge(1); };
/** Turn by degrees to the side and up, around the head. */
function lookAround(side, up) {
  const { eye, center } = camera, x = eye.x - center.x, y = eye.y - center.y, z = eye.z - center.z, radius = Math.hypot(x, y, z);
  const angle = Math.atan2(y, x) + side * Math.PI / 180, height = Math.max(-1.4, Math.min(1.4, Math.asin(z / radius) + up * Math.PI / 180));
  look({ ...structuredClone(camera), eye: { x: center.x + radius * Math.cos(height) * Math.cos(angle), y: center.y + radius * Math.cos(height) * Math.sin(angle), z: center.z + radius * Math.sin(height) } });
}
/** The camera has no distance (it is orthographic): the scene's box grows instead. */
async function enlarge(to) {
  const next = Math.max(0.6, Math.min(4, to));
  if (next === zoom) return;   // laying out again would undo a drag that has just begun
  zoom = next;
  const edge = 2 * REACH * zoom;
  for (const panel of scene?.panels || []) await Plotly.relayout(panel.plot, { 'scene.aspectratio': { x: edge, y: edge, z: edge } });
  if (scene) scene.dirty = true;
}
const fill = () => document.fullscreenElement === root ? document.exitFullscreen() : root.requestFullscreen?.();
root.addEventListener('fullscreenchange', () => press(find('.efp-full'), document.fullscreenElement === root));
find('.efp-front').onclick = front;
find('.efp-closer').onclick = () => enlarge(zoom * 1.25);
find('.efp-farther').onclick = () => enlarge(zoom / 1.25);
find('.efp-full').onclick = fill;
find('.efp-full').hidden = !root.requestFullscreen;
const LOOK_KEYS = { a: () => lookAround(-10, 0), d: () => lookAround(10, 0), w: () => lookAround(0, 10), s: () => lookAround(0, -10), 0: front, '+': () => enlarge(zoom * 1.25),
                    '=': () => enlarge(zoom * 1.25), '-': () => enlarge(zoom / 1.25), f: fill };
find('.efp-track').onchange = event => { if (scene) { endPreview(); hear(Number(event.target.value), audio.currentTime); } };
find('.efp-rate').onchange = event => { audio.playbackRate = Number(event.target.value); };
find('.efp-view').onchange = async () => {
  if (!scene) return;
  offerLayers(currentView());
  await build(currentView());
  if (scene) markHeard();
};
find('.efp-layer').onchange = () => { for (const panel of scene?.panels || []) { panel.painted = null; colorBar(panel); } if (scene) scene.dirty = true; };

const tell = what => window.dispatchEvent(new CustomEvent('emoface:' + what, { detail: { id: props.player_id, group: props.group, seconds: audio.currentTime } }));
const follows = ({ detail }) => detail.id !== props.player_id && props.group && detail.group === props.group;
const keepStep = ({ detail }) => { if (scene && Math.abs(audio.currentTime - detail.seconds) > 0.08) seek(detail.seconds); };

audio.onplay = audio.onpause = () => {
  const playing = !audio.paused;
  root.classList.toggle('playing', playing);
  playButton.setAttribute('aria-label', playing ? 'Pause' : 'Play');
  if (playing || !audio.ended) tell(playing ? 'play' : 'pause');   // a shorter one that has ended does not stop the others
};
audio.onseeked = () => { sought = false; if (scene) scene.dirty = true; tell('seeked'); };
audio.onerror = () => {
  if (!scene || !audio.src) return;
  if (sought) {   // a failed seek ends a sound for good: begin it anew, rather than to stay silent
    sought = false;
    const playing = root.classList.contains('playing');   // Chromium may have paused it without a word
    hear(Number(find('.efp-track').value) || 0);
    scene.dirty = true;
    return playing && audio.play().catch(() => {});
  }
  say('The sound could not be played by this browser; the downloads contain it.', true);
};

root.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /SELECT/.test(event.target.tagName) || !scene) return;
  const frame = 1 / scene.header.fps, key = event.key;
  if (key === ' ' && event.target.tagName !== 'BUTTON') toggle();
  else if (key === 'ArrowLeft' || key === 'ArrowRight') seek((scene.shown + (key === 'ArrowLeft' ? -1 : 1) * (event.shiftKey ? 10 : 1) + 0.5) * frame);
  else if (key === 'Home') seek(0);
  else if (key === 'End') seek(scene.duration);
  else if (key === 'm' || key === 'M') find('.efp-mute').click();
  else if (LOOK_KEYS[key.toLowerCase()]) LOOK_KEYS[key.toLowerCase()]();
  else return;
  event.preventDefault();
});

const onSeek = event => { if (event.detail.id === props.player_id) seek(event.detail.seconds); };
/** Another player plays: players of its group go with it, all others stop. */
const onPlay = event => {
  if (event.detail.id === props.player_id) return;
  if (!follows(event)) return audio.pause();
  keepStep(event);
  if (scene && audio.paused) { endPreview(); audio.play().catch(() => {}); }
};
const onPause = event => { if (follows(event)) audio.pause(); };
const onSeeked = event => { if (follows(event)) keepStep(event); };
window.addEventListener('emoface:pause', onPause);
window.addEventListener('emoface:seeked', onSeeked);
window.addEventListener('emoface:seek', onSeek);
window.addEventListener('emoface:play', onPlay);

new ResizeObserver(() => {
  if (panelBox.clientWidth === 0) return audio.pause();   // the tab was left
  for (const panel of scene?.panels || []) {
    const { width, height } = panel.plot._fullLayout || {};
    if (!panel.plot.clientWidth || (Math.abs(panel.plot.clientWidth - width) < 2 && Math.abs(panel.plot.clientHeight - height) < 2)) continue;
    Plotly.Plots.resize(panel.plot).then(() => { if (scene) scene.dirty = true; });
  }
}).observe(panelBox);

emoface.players[props.player_id] = {
  audio, seek, lateness,
  get scene() { return scene; },
  get made() { return scene?.made; },
  /** Another curve for the directed face. */
  blend(keys) { if (scene?.names) { scene.keys = keys; scene.dirty = true; } },
  /** Tracks by name side by side, or (null) the view that was chosen. */
  async compare(shown) {
    if (!scene?.names) return;
    await build(shown ? { panels: shown.map(({ name, caption }) => ({ track: scene.names.indexOf(name), caption, layer: null, sound: 0 })) } : currentView());
    if (scene) markHeard();
  },
  /** Show frames as they come, in place of the animation; null ends that. */
  stream(source) {
    if (stream?.mesh) exchange(stream.mesh);
    stream = source && { ...source, began: 0, next: 0, mesh: null };
    if (!scene) return;
    if (!source) return enable(true);
    if (drawing().slow && scene.panels.every(panel => panel.fast)) {
      stream.mesh = scene.mesh;
      exchange(scene.mesh.coarser ??= coarser(scene.mesh, scene.panels[0].buffers.shown));
    }
    audio.pause();
    enable(false);
    root.dataset.state = 'live';
  },
  outdated(older) { find('.efp-outdated').hidden = !(older && scene); },
  /** The first face as it is drawn now, as the address of a small picture; '' where it has no size, because its tab is not the one in sight. */
  picture(size) {
    const panel = scene.panels[0], from = panel.plot.querySelector('canvas'), small = document.createElement('canvas'), edge = Math.min(from.width, from.height);
    if (!edge) return '';
    small.width = small.height = size;
    if (panel.fast) panel.fast.glScene.glplot.redraw();   // the browser forgets the drawing once it is on the screen
    small.getContext('2d').drawImage(from, (from.width - edge) / 2, (from.height - edge) / 2, edge, edge, 0, 0, size, size);
    return small.toDataURL('image/webp', 0.8);
  },
  get camera() { return camera; },
  get zoom() { return zoom; },
  get fast() { return !!scene?.panels.every(panel => panel.fast); },
};
requestAnimationFrame(tick);
// Charts wait for these (never rejected) promises, one per player: the faces come first.
const begin = () => { emoface.faces[props.player_id] = show(props.value); };
watch('value', begin);
begin();
