// The talking face player. Runs inside gr.HTML's js_on_load(element, trigger, props, server, upload, watch), after common.js.
// props.value: { run, animation: FileData, sounds: [{ label, file: FileData }], autoplay: 'off' | 'on' | 'muted' } (see player.py and pack.py).
// The audio clock is the master: every animation frame of the browser asks the sound where it is and draws that frame of
// the face, so frames are dropped when drawing is slow and the picture can never drift away from the sound.

const find = selector => element.querySelector(selector);
const root = find('.efp'), stage = find('.efp-stage'), panelBox = find('.efp-panels'), message = find('.efp-message');
const audio = find('audio'), seekBar = find('.efp-seek'), playButton = find('.efp-play'), soundButton = find('.efp-sound');
const GREY = [0.72, 0.72, 0.74];
const FRONT = { eye: { x: 0, y: -2, z: 0.16 }, center: { x: 0, y: 0, z: 0.08 }, up: { x: 0, y: 0, z: 1 }, projection: { type: 'orthographic' } };
const SIZE = 2.12;   // edge of the scene's cube
// Ends and middle of the "plasma" colour map: ordered by lightness, and far from skin and grey.
const PLASMA = [[13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [219, 92, 104], [244, 136, 73], [254, 188, 43], [240, 249, 33]];
const colormap = Float32Array.from({ length: 768 }, (_, i) => {
  const at = Math.floor(i / 3) / 255 * (PLASMA.length - 1), k = Math.min(PLASMA.length - 2, Math.floor(at)), share = at - k;
  return (PLASMA[k][i % 3] * (1 - share) + PLASMA[k + 1][i % 3] * share) / 255;
});

stage.dataset.count = props.count || 1;

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
  const colors = Float32Array.from(take(Uint8Array, 3 * V), value => value / 255);
  const tracks = header.tracks.map(({ layers }) => {
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
    return { positions, heat };
  });
  return { header, faces, colors, tracks };
}

/* ---- one panel: a Plotly mesh, drawn fast where its internals allow, through Plotly.restyle where not ------------- */

/** Positions of frame t in Plotly's axes (x right, y away from the viewer, z up) and the colours of layer `name`. */
function fillFrame(panel, t) {
  const { header, colors, tracks } = scene, V = header.vertices, track = tracks[panel.track], scale = header.step / header.radius;
  const { x, y, z, rgb } = panel.buffers, from = 3 * V * t, q = track.positions;
  for (let i = 0; i < V; i++) {
    x[i] = q[from + i] * scale;
    z[i] = q[from + V + i] * scale;
    y[i] = -q[from + 2 * V + i] * scale;
  }
  const name = layerOf(panel), heat = name && track.heat[name];
  if (!heat) {
    if (panel.painted !== 'skin') { rgb.set(colors); panel.painted = 'skin'; return true; }
    return false;
  }
  const base = heat.skin * t;
  for (let i = 0; i < V; i++) {
    const code = i < heat.skin ? heat.codes[base + i] : -1, at = 3 * (code - 1);
    for (let k = 0; k < 3; k++) rgb[3 * i + k] = code > 0 ? colormap[Math.round(at / 3 / 254 * 255) * 3 + k] : code === 0 ? GREY[k] : colors[3 * i + k];
  }
  panel.painted = name;
  return true;
}
const cssColors = rgb => Array.from({ length: rgb.length / 3 }, (_, i) =>
  'rgb(' + Math.round(255 * rgb[3 * i]) + ',' + Math.round(255 * rgb[3 * i + 1]) + ',' + Math.round(255 * rgb[3 * i + 2]) + ')');

/** Handles on gl-mesh3d's vertex buffers, or null: these are Plotly's private parts, so everything is checked. */
function fastPath(panel) {
  const glScene = panel.plot._fullLayout?.scene?._scene, mesh = glScene && Object.values(glScene.traces)[0]?.mesh, M = scene.header.triangles;
  const buffers = mesh && [mesh.trianglePositions, mesh.triangleNormals, mesh.triangleColors];
  if (props.fast === false || !buffers || !glScene.dataScale || !glScene.glplot?.redraw || mesh.triangleCount !== M || !buffers.every(b => b && b.update)) return null;
  mesh.drawPick = null;   // nobody picks vertices; the hidden pass would double the work of every frame
  return { glScene, mesh, corners: new Float32Array(9 * M), normals: new Float32Array(9 * M), colors: new Float32Array(12 * M).fill(1),
           scaled: new Float32Array(3 * scene.header.vertices), smooth: new Float32Array(3 * scene.header.vertices), colored: false };
}

function drawFast(panel, repaint) {
  const { glScene, mesh, corners, normals, colors, scaled, smooth } = panel.fast, { x, y, z, rgb } = panel.buffers;
  const { faces, header } = scene, [sx, sy, sz] = glScene.dataScale;   // differs per axis and changes on restyle
  for (let i = 0, p = 0; i < header.vertices; i++) { scaled[p++] = x[i] * sx; scaled[p++] = y[i] * sy; scaled[p++] = z[i] * sz; }
  smooth.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const ux = scaled[b] - scaled[a], uy = scaled[b + 1] - scaled[a + 1], uz = scaled[b + 2] - scaled[a + 2];
    const vx = scaled[c] - scaled[a], vy = scaled[c + 1] - scaled[a + 1], vz = scaled[c + 2] - scaled[a + 2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    smooth[a] += nx; smooth[a + 1] += ny; smooth[a + 2] += nz;
    smooth[b] += nx; smooth[b + 1] += ny; smooth[b + 2] += nz;
    smooth[c] += nx; smooth[c + 1] += ny; smooth[c + 2] += nz;
  }
  for (let i = 0; i < smooth.length; i += 3) {
    const inverse = 1 / (Math.hypot(smooth[i], smooth[i + 1], smooth[i + 2]) || 1);
    smooth[i] *= inverse; smooth[i + 1] *= inverse; smooth[i + 2] *= inverse;
  }
  for (let f = 0, p = 0; f < faces.length; f += 3) for (let corner = 2; corner >= 0; corner--, p += 3) {   // gl-mesh3d turns corners round
    const v = 3 * faces[f + corner];
    corners[p] = scaled[v]; corners[p + 1] = scaled[v + 1]; corners[p + 2] = scaled[v + 2];
    normals[p] = smooth[v]; normals[p + 1] = smooth[v + 1]; normals[p + 2] = smooth[v + 2];
  }
  mesh.trianglePositions.update(corners);
  mesh.triangleNormals.update(normals);
  if (repaint || !panel.fast.colored) {
    for (let f = 0, p = 0; f < faces.length; f += 3) for (let corner = 2; corner >= 0; corner--, p += 4) {
      const v = 3 * faces[f + corner];
      colors[p] = rgb[v]; colors[p + 1] = rgb[v + 1]; colors[p + 2] = rgb[v + 2];
    }
    mesh.triangleColors.update(colors);
    panel.fast.colored = true;
  }
  glScene.glplot.redraw();
}

function drawPanel(panel, t) {
  const repaint = fillFrame(panel, t);
  if (panel.fast === undefined) panel.fast = fastPath(panel);
  if (panel.fast) {
    try { return drawFast(panel, repaint); }
    catch (error) { console.warn('EmoFace: fast drawing is off', error); panel.fast = null; panel.stale = true; }
  }
  if (panel.busy) { scene.dirty = true; return; }   // a slow restyle is still running: this frame is dropped, the next one is drawn
  panel.busy = true;
  const { x, y, z, rgb } = panel.buffers, change = { x: [x.slice()], y: [y.slice()], z: [z.slice()] };
  if (repaint || panel.stale) change.vertexcolor = [cssColors(rgb)];
  panel.stale = false;
  Plotly.restyle(panel.plot, change, [0]).finally(() => { panel.busy = false; });
}

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

function tick() {
  if (scene?.panels.length) {
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

function figure(panel) {
  const { header, faces } = scene, M = header.triangles, [i, j, k] = [0, 1, 2].map(c => Array.from({ length: M }, (_, f) => faces[3 * f + c]));
  // An axis with "visible: false" still has its labels and ticks turned into triangles, which takes as long as all the rest: empty them instead.
  const axis = { range: [-1.06, 1.06], autorange: false, title: { text: '' }, tickmode: 'array', tickvals: [], showticklabels: false, showgrid: false,
                 zeroline: false, showline: false, showbackground: false, showspikes: false };
  const { x, y, z, rgb } = panel.buffers;
  return [
    [{ type: 'mesh3d', x: x.slice(), y: y.slice(), z: z.slice(), i, j, k, vertexcolor: cssColors(rgb), hoverinfo: 'skip', showscale: false,
       lighting: { ambient: 0.52, diffuse: 0.58, specular: 0.15, roughness: 0.45, fresnel: 0.5, vertexnormalsepsilon: 0, facenormalsepsilon: 0 },
       lightposition: { x: -0.7, y: 0.2, z: -1.003 } }   // clip space, at the camera's left: the light follows the viewer
    ],
    { autosize: true, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: 'rgba(0,0,0,0)', uirevision: 'face', hovermode: false,
      scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: 'manual', aspectratio: { x: SIZE, y: SIZE, z: SIZE }, dragmode: 'turntable', hovermode: false, camera: structuredClone(camera) } },
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
    for (const panel of scene.panels) if (panel !== leader.panel) turn(panel, now);
  } else if (performance.now() > leader.until) leader = null;
}

/** Point a panel's camera without an event of its own; while one camera is being applied the newest waits, the others are forgotten. */
async function turn(panel, to) {
  panel.wanted = structuredClone(to);
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

/** Boxes for all panels first (so that nothing moves later), then the plots, one after another. A newer build (or none) ends this one. */
async function build(view) {
  clearPanels();
  const job = building;
  const V = scene.header.vertices, panels = [];
  stage.dataset.count = view.panels.length;
  for (const spec of view.panels) {
    const box = document.createElement('figure'), plot = document.createElement('div'), caption = document.createElement('figcaption');
    const bar = document.createElement('div');
    plot.className = 'efp-plot';
    plot.setAttribute('role', 'img');
    bar.className = 'efp-scale';
    box.append(plot, caption, bar);
    panelBox.append(box);
    panels.push({ plot, caption, bar, buffers: { x: new Float32Array(V), y: new Float32Array(V), z: new Float32Array(V), rgb: new Float32Array(3 * V) } });
  }
  scene.panels = [];
  describe(panels, view);
  for (const panel of panels) {
    fillFrame(panel, frameAt(audio.currentTime || 0));
    await newPlot(panel.plot, figure(panel));
    if (job !== building) return panels.forEach(({ plot }) => Plotly.purge(plot));
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
    Object.assign(panel, { track: spec.track, layer: spec.layer, sound: spec.sound, label: spec.caption, painted: null });
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

/** Whether this browser has WebGL, and whether the processor has to do its drawing; asked once per page. */
const drawing = () => emoface.drawing ??= (() => {
  const gl = document.createElement('canvas').getContext('webgl'), info = gl?.getExtension('WEBGL_debug_renderer_info');
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : '';
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
  return { webgl: !!gl, slow: /swiftshader|llvmpipe|software|basic render/i.test(name) };
})();
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
    const old = scene, same = old && old.header.topology === next.header.topology && old.header.vertices === next.header.vertices;
    const panels = old?.panels || [];
    scene = Object.assign(next, { panels, shown: -1, drawn: 0, dirty: true, duration: next.header.frames / next.header.fps, run: value.run, sounds: sounds.map(sound => URL.createObjectURL(sound)) });
    offer(find('.efp-track'), find('.efp-soundfield'), value.sounds.map(({ label }, at) => [String(at), label]), '0');
    hear(0);
    seekBar.max = scene.duration;
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
  for (const panel of scene.panels) panel.caption.parentElement.classList.toggle('silent', scene.sounds.length > 1 && panel.sound !== index);
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
    try { return await audio.play(); } catch { /* the browser wants a click first: play silently instead */ }
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
find('.efp-front').onclick = () => { leader = null; camera = structuredClone(FRONT); for (const panel of scene?.panels || []) turn(panel, camera); };
find('.efp-track').onchange = event => { if (scene) { endPreview(); hear(Number(event.target.value), audio.currentTime); } };
find('.efp-rate').onchange = event => { audio.playbackRate = Number(event.target.value); };
find('.efp-view').onchange = async () => {
  if (!scene) return;
  offerLayers(currentView());
  await build(currentView());
  if (scene) markHeard();
};
find('.efp-layer').onchange = () => { for (const panel of scene?.panels || []) { panel.painted = null; colorBar(panel); } if (scene) scene.dirty = true; };

audio.onplay = audio.onpause = () => {
  const playing = !audio.paused;
  root.classList.toggle('playing', playing);
  playButton.setAttribute('aria-label', playing ? 'Pause' : 'Play');
  if (playing) window.dispatchEvent(new CustomEvent('emoface:play', { detail: { id: props.player_id } }));
};
audio.onseeked = () => { if (scene) scene.dirty = true; };
audio.onerror = () => { if (scene && audio.src) say('The sound could not be played by this browser; the downloads contain it.', true); };

root.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /SELECT/.test(event.target.tagName) || !scene) return;
  const frame = 1 / scene.header.fps, key = event.key;
  if (key === ' ' && event.target.tagName !== 'BUTTON') toggle();
  else if (key === 'ArrowLeft' || key === 'ArrowRight') seek((scene.shown + (key === 'ArrowLeft' ? -1 : 1) * (event.shiftKey ? 10 : 1) + 0.5) * frame);
  else if (key === 'Home') seek(0);
  else if (key === 'End') seek(scene.duration);
  else if (key === 'm' || key === 'M') find('.efp-mute').click();
  else return;
  event.preventDefault();
});

const onSeek = event => { if (event.detail.id === props.player_id) seek(event.detail.seconds); };
const onPlay = event => { if (event.detail.id !== props.player_id) audio.pause(); };
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
  get camera() { return camera; },
  get fast() { return !!scene?.panels.every(panel => panel.fast); },
};
requestAnimationFrame(tick);
// Charts wait for these (never rejected) promises, one per player: the faces come first.
const begin = () => { emoface.faces[props.player_id] = show(props.value); };
watch('value', begin);
begin();
