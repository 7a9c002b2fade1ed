// What the look of an embedded head adds to its matrix, frame by frame: lids that meet, and lines that come with an expression
// (emoface/lids.py, emoface/creases.py, in the same order and with the same numbers). Vertices are planar, in units of the head's radius.

const CREASE_TINT = [0.78, 1, 1], LOWER_GIVE = 0.4, LID_YIELD = 0.75;

/** Arrays of two files of the look, in units of the head's radius. */
function movingParts(base, own, radius) {
  const { low, high } = base.about.creases, perRadius = (values, by) => Float64Array.from(values, value => value * by);
  const pairs = base.lid_pairs, stations = pairs.length / 4;   // of each eye
  return {
    creases: { low, high, vertices: base.crease_vertices, groups: base.crease_groups, shade: Float32Array.from(base.crease_shade, value => value / 127),
               tilt: Float32Array.from(base.crease_tilt, value => value / 160), pairs: base.crease_pairs, pairGroups: base.crease_pair_groups,
               weights: perRadius(base.crease_pair_weights, radius), rest: perRadius(own.crease_rest, 1 / radius), floor: own.crease_floor,
               strength: own.crease_strength, amounts: new Float64Array(low.length) },
    lids: { pairs, stations, overlap: new Float64Array(2 * stations), sunken: new Float64Array(2 * stations), most: perRadius(own.lid_most, 1 / radius),
            vertices: base.lid_vertices, station: base.lid_station, share: base.lid_share,
            give: base.lid_give, ends: base.eye_ends, resting: base.ball_vertices, side: base.ball_side, least: perRadius(own.ball_least, 1 / radius) },
  };
}

/** The 3x3 motion of the skull since rest, over the radius: offsets in metres times it are in units of the radius. */
function skullFrame({ anchors, inverse }, coarse) {
  const V = coarse.length / 3, frame = new Float64Array(9);
  for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) {
    for (let k = 0; k < 3; k++) frame[3 * i + j] += (coarse[i * V + anchors[k + 1]] - coarse[i * V + anchors[0]]) * inverse[k][j];
  }
  return frame;
}

/** Lids that would overlap meet, a lower lid rises less the higher it is, and none sinks into its eye; changes ``coarse``. */
function settle({ lids, radius }, coarse, frame) {
  const V = coarse.length / 3, { pairs, stations, overlap, sunken, most, vertices, station, share, give, ends, resting, side, least } = lids;
  const up = [1, 4, 7].map(at => frame[at] * radius);
  const middle = [0, 1].map(eye => [0, V, 2 * V].map(axis => (coarse[axis + ends[2 * eye]] + coarse[axis + ends[2 * eye + 1]]) / 2));
  for (let p = 0; p < 2 * stations; p++) {
    let over = 0, high = 0;
    for (let k = 0; k < 3; k++) {
      const lower = coarse[k * V + pairs[2 * p + 1]];
      over += (lower - coarse[k * V + pairs[2 * p]]) * up[k];
      high += (lower - middle[p < stations ? 0 : 1][k]) * up[k];
    }
    sunken[p] = LID_YIELD * Math.max(high - most[p], 0);
    overlap[p] = Math.max(over - sunken[p], 0);
  }
  for (let n = 0; n < vertices.length; n++) {
    const at = station[n], mix = values => values[at] * (1 - share[n]) + values[at + 1] * share[n];
    const by = mix(overlap) * give[n] + mix(sunken) * Math.min(give[n], 0) / LOWER_GIVE;
    if (!by) continue;
    const [x, y, z] = middle[at < stations ? 0 : 1], v = vertices[n];
    const a = coarse[v] - x, b = coarse[V + v] - y, c = coarse[2 * V + v] - z, d = a + by * up[0], e = b + by * up[1], f = c + by * up[2];
    const scale = Math.sqrt((a * a + b * b + c * c) / (d * d + e * e + f * f));   // round the eye, not through it
    coarse[v] = x + d * scale; coarse[V + v] = y + e * scale; coarse[2 * V + v] = z + f * scale;
  }
  for (let n = 0; n < resting.length; n++) {
    const [x, y, z] = middle[side[n]], v = resting[n], a = coarse[v] - x, b = coarse[V + v] - y, c = coarse[2 * V + v] - z;
    const far = Math.sqrt(a * a + b * b + c * c);
    if (far >= least[n]) continue;
    const scale = least[n] / far;
    coarse[v] = x + a * scale; coarse[V + v] = y + b * scale; coarse[2 * V + v] = z + c * scale;
  }
}

/** The share of the light that folds take goes into ``taken``, and their relief into the normals of the shown vertices. */
function crease({ creases, radius }, coarse, frame, normals, taken) {
  const V = coarse.length / 3, { low, high, vertices, groups, shade, tilt, pairs, pairGroups, weights, rest, floor, strength, amounts } = creases;
  const turn = Array.from(frame, value => value * radius);
  amounts.fill(0);
  for (let p = 0; p < rest.length; p++) {
    const i = pairs[2 * p], j = pairs[2 * p + 1], x = coarse[i] - coarse[j], y = coarse[V + i] - coarse[V + j], z = coarse[2 * V + i] - coarse[2 * V + j];
    amounts[pairGroups[p]] += weights[p] * (Math.sqrt(x * x + y * y + z * z) - rest[p]);
  }
  for (let k = 0; k < amounts.length; k++) {
    const t = Math.min(Math.max((amounts[k] - low[k]) / (high[k] - low[k]), 0), 1);
    amounts[k] = floor[k] + (strength[k] - floor[k]) * t * t * (3 - 2 * t);
  }
  taken.fill(0);
  for (let n = 0; n < vertices.length; n++) {
    const amount = amounts[groups[n]], v = 3 * vertices[n];
    if (!amount) continue;
    taken[vertices[n]] += amount * shade[n];
    const a = amount * tilt[3 * n], b = amount * tilt[3 * n + 1], c = amount * tilt[3 * n + 2];
    normals[v] += turn[0] * a + turn[1] * b + turn[2] * c;
    normals[v + 1] += turn[3] * a + turn[4] * b + turn[5] * c;
    normals[v + 2] += turn[6] * a + turn[7] * b + turn[8] * c;
  }
  for (let n = 0; n < vertices.length; n++) {   // a vertex of two groups is made unit length twice, which does no harm
    const v = 3 * vertices[n], inverse = 1 / (Math.sqrt(normals[v] ** 2 + normals[v + 1] ** 2 + normals[v + 2] ** 2) || 1);
    normals[v] *= inverse; normals[v + 1] *= inverse; normals[v + 2] *= inverse;
  }
}
