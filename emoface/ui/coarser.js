// A mesh of fewer triangles for where a processor has to draw frames as they come. It is part of the finer mesh: some vertices are left out,
// the others stay what they are. A vertex goes where the skin around it is smooth, of one colour and without lines, so lips, lids and brows keep theirs.

const SMOOTH = 0.94, ONE_COLOR = 14, FLAT = 0.05, COARSER_PASSES = 6;   // cosine between a triangle and what it becomes; sRGB bytes; depth of a line

/** ``shown``: the face at rest (planar). The coarser mesh has what a mesh has (player.js). */
function coarser(mesh, shown) {
  const lined = nearLines(mesh);
  let faces = mesh.faces;
  for (let pass = 0; pass < COARSER_PASSES; pass++) faces = thinned(faces, shown, mesh.colors, lined);
  return part(mesh, faces);
}

/** 1 for vertices of triangles that a line touches: a larger triangle would smear it. */
function nearLines({ count, faces, look }) {
  const deep = new Uint8Array(count), near = new Uint8Array(count);
  look?.creases.vertices.forEach((v, n) => {
    const { shade, tilt } = look.creases;
    if (Math.max(Math.abs(shade[n]), Math.hypot(tilt[3 * n], tilt[3 * n + 1], tilt[3 * n + 2])) > FLAT) deep[v] = 1;
  });
  for (let f = 0; f < faces.length; f += 3) if (deep[faces[f]] || deep[faces[f + 1]] || deep[faces[f + 2]]) for (let c = 0; c < 3; c++) near[faces[f + c]] = 1;
  return near;
}

const oneColor = (colors, u, v) => [0, 1, 2].every(k => Math.abs(colors[3 * u + k] - colors[3 * v + k]) <= ONE_COLOR);

/** One pass: every vertex that may go is drawn into a neighbour; what was near it is left alone for this pass, because ``around`` no longer says what is there. */
function thinned(faces, shown, colors, lined) {
  const D = shown.length / 3, { from, around } = facesAround(faces, D), out = Uint32Array.from(faces), touched = new Uint8Array(D), ring = new Map();
  for (let v = 0; v < D; v++) {
    if (lined[v] || touched[v] || from[v] === from[v + 1]) continue;
    ring.clear();   // neighbours, with the number of triangles that they share with v
    for (let n = from[v]; n < from[v + 1]; n++) for (let c = 0; c < 3; c++) {
      const u = faces[3 * around[n] + c];
      if (u !== v) ring.set(u, (ring.get(u) || 0) + 1);
    }
    if ([...ring.values()].some(count => count !== 2)) continue;   // at an edge of the mesh
    let best = -1, bestDot = SMOOTH;
    for (const u of ring.keys()) {
      if (touched[u] || !oneColor(colors, u, v) || !linked(u, ring, faces, from, around)) continue;
      const dot = leastTurn(v, u, faces, from, around, shown);
      if (dot > bestDot) { best = u; bestDot = dot; }
    }
    if (best < 0) continue;
    for (const u of ring.keys()) touched[u] = 1;
    for (let n = from[v]; n < from[v + 1]; n++) for (let c = 0; c < 3; c++) if (out[3 * around[n] + c] === v) out[3 * around[n] + c] = best;
  }
  const kept = [];
  for (let f = 0; f < out.length; f += 3) if (out[f] !== out[f + 1] && out[f + 1] !== out[f + 2] && out[f] !== out[f + 2]) kept.push(out[f], out[f + 1], out[f + 2]);
  return Uint32Array.from(kept);
}

/** Triangles of every vertex: ``around[from[v]]`` to ``around[from[v + 1] - 1]``. */
function facesAround(faces, D) {
  const from = new Uint32Array(D + 1), around = new Uint32Array(faces.length);
  for (const v of faces) from[v + 1]++;
  for (let v = 0; v < D; v++) from[v + 1] += from[v];
  const next = from.slice();
  faces.forEach((v, at) => { around[next[v]++] = at / 3 | 0; });
  return { from, around };
}

/** Whether only two neighbours of the vertex are neighbours of u, too: otherwise the surface would be glued to itself. */
function linked(u, ring, faces, from, around) {
  const shared = new Set();
  for (let n = from[u]; n < from[u + 1]; n++) for (let c = 0; c < 3; c++) { const w = faces[3 * around[n] + c]; if (w !== u && ring.has(w)) shared.add(w); }
  return shared.size === 2;
}

/** Cosine of the angle by which a triangle around v turns most when v moves to u. */
function leastTurn(v, u, faces, from, around, shown) {
  let least = 1;
  for (let n = from[v]; n < from[v + 1] && least > SMOOTH; n++) {
    const f = 3 * around[n], corners = [faces[f], faces[f + 1], faces[f + 2]];
    if (corners.includes(u)) continue;
    const before = normalOf(corners, shown), after = normalOf(corners.map(w => w === v ? u : w), shown);
    least = Math.min(least, before[0] * after[0] + before[1] * after[1] + before[2] * after[2]);
  }
  return least;
}
function normalOf([a, b, c], shown) {
  const D = shown.length / 3, ux = shown[b] - shown[a], uy = shown[D + b] - shown[D + a], uz = shown[2 * D + b] - shown[2 * D + a];
  const vx = shown[c] - shown[a], vy = shown[D + c] - shown[D + a], vz = shown[2 * D + c] - shown[2 * D + a];
  const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx, length = Math.sqrt(x * x + y * y + z * z) || 1;
  return [x / length, y / length, z / length];
}

/** The vertices of a mesh that these triangles use, in their order. */
function part(mesh, faces) {
  const used = new Uint8Array(mesh.count), number = new Int32Array(mesh.count).fill(-1);
  for (const v of faces) used[v] = 1;
  const kept = [...used.keys()].filter(v => used[v]);
  kept.forEach((v, at) => { number[v] = at; });
  const rows = (array, size) => { const out = new array.constructor(size * kept.length); kept.forEach((v, at) => { for (let k = 0; k < size; k++) out[size * at + k] = array[size * v + k]; }); return out; };
  return { count: kept.length, skin: kept.filter(v => v < mesh.skin).length, faces: faces.map(v => number[v]), colors: rows(mesh.colors, 3), gloss: rows(mesh.gloss, 1),
           look: mesh.look && partOfLook(mesh.look, kept, number, rows) };
}
function partOfLook(look, kept, number, rows) {
  const from = new Uint32Array(look.counts.length + 1);
  look.counts.forEach((count, v) => { from[v + 1] = from[v] + count; });
  const gathered = (array, Type) => Type.from(kept.flatMap(v => [...array.subarray(from[v], from[v + 1])]));
  const { creases } = look, folded = [...creases.vertices.keys()].filter(n => number[creases.vertices[n]] >= 0);
  return { ...look, counts: rows(look.counts, 1), indices: gathered(look.indices, Uint16Array), weights: gathered(look.weights, Float32Array), offset: rows(look.offset, 3),
           creases: { ...creases, vertices: Uint16Array.from(folded, n => number[creases.vertices[n]]), groups: Uint8Array.from(folded, n => creases.groups[n]),
                      shade: Float32Array.from(folded, n => creases.shade[n]), tilt: Float32Array.from(folded.flatMap(n => [...creases.tilt.subarray(3 * n, 3 * n + 3)])) } };
}
