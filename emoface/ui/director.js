// The feeling over time, drawn over the sound. Runs in gr.HTML's js_on_load, after common.js.
// props.value: { run, player, duration, wave, recognised: { name: [share, ...] }, names, colors, keys } (see director.py). Every emotion has a
// line of points [seconds, strength]; the voice's own emotion takes what the others leave. ``keys`` is what all of them come to: the data
// that the server gets (emoface/curve.py), and that the player shows at once.

const MOST = 1.5, NEAR = 12, FLANK = 0.4;
const find = name => element.querySelector('.efd-' + name);
const canvas = find('canvas'), chips = find('chips');
let value = null, lines = {}, brush = null, chosen = null, history = [], comparing = [], playhead = 0, dragging = false;

const player = () => emoface.players[value.player];
const word = name => name === 'speech' ? "Voice's own" : name[0].toUpperCase() + name.slice(1);
const drawn = () => value.names.filter(name => name !== 'speech');

/** Strength of one line at a time: straight between its points, flat outside them. */
function at(line, seconds) {
  if (!line?.length) return 0;
  if (seconds <= line[0][0]) return line[0][1];
  for (let i = 1; i < line.length; i++) {
    const [t0, v0] = line[i - 1], [t1, v1] = line[i];
    if (seconds <= t1) return t1 > t0 ? v0 + (v1 - v0) * (seconds - t0) / (t1 - t0) : v1;
  }
  return line[line.length - 1][1];
}

function toKeys() {
  const times = [...new Set([0, ...drawn().flatMap(name => (lines[name] || []).map(([t]) => t))])].sort((a, b) => a - b);
  return times.map(time => {
    const weights = {};
    for (const name of drawn()) { const v = at(lines[name], time); if (v > 0) weights[name] = v; }
    let sum = Object.values(weights).reduce((a, b) => a + b, 0);
    if (sum > MOST) { for (const name in weights) weights[name] *= MOST / sum; sum = MOST; }
    if (sum < 1 || !Object.keys(weights).length) weights.speech = Math.max(0, 1 - sum);
    for (const name in weights) weights[name] = Math.round(weights[name] * 1e4) / 1e4;
    return [Math.round(time * 1000) / 1000, weights];
  });
}

function fromKeys(keys) {
  const out = {};
  for (const name of drawn()) if (keys.some(([, weights]) => weights[name])) out[name] = keys.map(([t, weights]) => [t, weights[name] || 0]);
  return out;
}

/** What changed goes to the player at once, and to the server with the next request. */
function tell() {
  const keys = toKeys();
  props.value = { ...value, keys };
  value = props.value;
  player()?.blend(keys);
  trigger('change');
  show();
}
const remember = () => { history.push(JSON.stringify(lines)); if (history.length > 100) history.shift(); };

/* ---- points --------------------------------------------------------------------------------------------------------- */

function add(seconds, strength) {
  if (brush === 'speech') return say('Choose a feeling above, then draw it.');
  remember();
  const line = lines[brush] ??= [];
  const clip = t => Math.max(0, Math.min(value.duration, t));
  const before = !line.length || seconds < line[0][0], after = !line.length || seconds > line[line.length - 1][0];
  line.push([seconds, strength]);   // a point beyond the others is a moment, not for ever
  if (before) line.push([clip(seconds - FLANK), 0]);
  if (after) line.push([clip(seconds + FLANK), 0]);
  line.sort((a, b) => a[0] - b[0]);
  chosen = { name: brush, index: line.findIndex(([t, v]) => t === seconds && v === strength) };
}
function move(seconds, strength) {
  const line = lines[chosen.name], i = chosen.index, low = i ? line[i - 1][0] : 0, high = i + 1 < line.length ? line[i + 1][0] : value.duration;
  line[i] = [Math.max(low, Math.min(high, seconds)), Math.max(0, Math.min(MOST, strength))];
}
function remove() {
  if (!chosen) return;
  remember();
  lines[chosen.name].splice(chosen.index, 1);
  if (!lines[chosen.name].some(([, v]) => v > 0)) delete lines[chosen.name];
  chosen = null;
  tell();
}

/* ---- drawing -------------------------------------------------------------------------------------------------------- */

const inset = 10;
const toX = seconds => inset + seconds / value.duration * (canvas.clientWidth - 2 * inset);
const toY = strength => canvas.clientHeight - inset - strength / MOST * (canvas.clientHeight - 2 * inset);
const toTime = x => Math.max(0, Math.min(value.duration, (x - inset) / (canvas.clientWidth - 2 * inset) * value.duration));
const toStrength = y => Math.max(0, Math.min(MOST, (canvas.clientHeight - inset - y) / (canvas.clientHeight - 2 * inset) * MOST));

function show() {
  if (!value || !canvas.clientWidth) return;
  const ratio = window.devicePixelRatio || 1, W = canvas.clientWidth, H = canvas.clientHeight, pen = canvas.getContext('2d');
  const style = getComputedStyle(element), line = style.getPropertyValue('--border-color-primary'), text = style.getPropertyValue('--body-text-color-subdued');
  canvas.width = W * ratio;
  canvas.height = H * ratio;
  pen.scale(ratio, ratio);
  pen.fillStyle = line;   // the sound
  value.wave.forEach((loud, i) => { const h = loud * (H - 2 * inset) * 0.9; pen.fillRect(toX(i / value.wave.length * value.duration), H / 2 - h / 2, Math.max(1, (W - 2 * inset) / value.wave.length - 1), h); });
  pen.font = '11px ' + style.fontFamily;
  for (const strength of [0, 1]) {
    pen.strokeStyle = line;
    pen.beginPath(); pen.moveTo(inset, toY(strength)); pen.lineTo(W - inset, toY(strength)); pen.stroke();
  }
  pen.fillStyle = text;
  pen.fillText(emoface.say('whole'), inset + 2, toY(1) - 3);
  for (const [name, shares] of Object.entries(value.recognised)) {   // the emotion recognised in the voice, thin
    pen.strokeStyle = value.colors[name];
    pen.globalAlpha = 0.45;
    pen.beginPath();
    shares.forEach((share, i) => pen.lineTo(toX((i + 0.5) / shares.length * value.duration), toY(share)));
    pen.stroke();
  }
  pen.globalAlpha = 1;
  for (const name of drawn()) {
    const points = lines[name];
    if (!points?.length) continue;
    pen.strokeStyle = pen.fillStyle = value.colors[name];
    pen.lineWidth = name === brush ? 3 : 2;
    pen.beginPath();
    pen.moveTo(inset, toY(points[0][1]));
    for (const [t, v] of points) pen.lineTo(toX(t), toY(v));
    pen.lineTo(W - inset, toY(points[points.length - 1][1]));
    pen.stroke();
    points.forEach(([t, v], i) => {
      pen.beginPath();
      pen.arc(toX(t), toY(v), chosen?.name === name && chosen.index === i ? 7 : 5, 0, 7);
      pen.fill();
    });
  }
  pen.lineWidth = 1;
  pen.strokeStyle = style.getPropertyValue('--body-text-color');
  pen.beginPath(); pen.moveTo(toX(playhead), 0); pen.lineTo(toX(playhead), H); pen.stroke();
  find('undo').disabled = !history.length;
  find('clear').disabled = !Object.keys(lines).length;
}
const say = words => { find('says').textContent = words; };

const hint = () => say('Click on the sound to add ' + brush + ', drag points, double-click to remove one.');

function showChips() {
  const comparison = find('compare').getAttribute('aria-pressed') === 'true';
  chips.replaceChildren(...value.names.filter(name => comparison || name !== 'speech').map(name => {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = word(name);
    chip.dataset.name = name;
    chip.style.setProperty('--feeling', value.colors[name] || '#888');
    chip.setAttribute('aria-pressed', String(comparison ? comparing.includes(name) : name === brush));
    chip.onclick = () => {
      if (!comparison) { brush = name; hint(); }
      else if (comparing.includes(name)) comparing = comparing.length > 2 ? comparing.filter(other => other !== name) : comparing;
      else comparing = [...comparing, name].slice(-4);
      if (comparison) player()?.compare(comparing.map(one => ({ name: one, caption: word(one) })));
      showChips();
      show();
    };
    return chip;
  }));
}

/* ---- mouse, touch and keyboard ---------------------------------------------------------------------------------------- */

const place = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
function nearest(x, y) {
  let best = null, least = NEAR;
  for (const name of drawn()) (lines[name] || []).forEach(([t, v], index) => {
    const far = Math.hypot(toX(t) - x, toY(v) - y);
    if (far < least) { least = far; best = { name, index }; }
  });
  return best;
}
canvas.onpointerdown = event => {
  if (!value) return;
  canvas.setPointerCapture(event.pointerId);
  const [x, y] = place(event), near = nearest(x, y);
  dragging = true;
  if (near) { remember(); chosen = near; brush = near.name; showChips(); } else { add(toTime(x), toStrength(y)); tell(); }
  window.dispatchEvent(new CustomEvent('emoface:seek', { detail: { id: value.player, seconds: toTime(x) } }));
  show();
};
canvas.onpointermove = event => {
  if (!dragging || !chosen) return;
  const [x, y] = place(event);
  move(toTime(x), toStrength(y));
  tell();
};
canvas.onpointerup = canvas.onpointercancel = () => { dragging = false; };
canvas.ondblclick = event => { chosen = nearest(...place(event)); remove(); };
canvas.addEventListener('keydown', event => {
  if (!value) return;
  const point = chosen && lines[chosen.name]?.[chosen.index], steps = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key];
  if (event.key === 'Enter') { add(playhead, 1); tell(); }
  else if (event.key === 'Delete' || event.key === 'Backspace') remove();
  else if (steps && point) { remember(); move(point[0] + steps[0], point[1] + steps[1]); tell(); }
  else if ((event.key === ',' || event.key === '.') && lines[brush]?.length) {
    const count = lines[brush].length, from = chosen?.name === brush ? chosen.index : 0;
    chosen = { name: brush, index: (from + (event.key === '.' ? 1 : count - 1)) % count };
    show();
  } else return;
  event.preventDefault();
});
find('undo').onclick = () => { if (history.length) { lines = JSON.parse(history.pop()); chosen = null; tell(); } };
find('clear').onclick = () => { remember(); lines = {}; chosen = null; tell(); };
find('keep').onclick = () => trigger('kept');   // the server makes it of the same keys, for this visit's animations
find('compare').onclick = event => {
  const on = event.currentTarget.getAttribute('aria-pressed') !== 'true';
  event.currentTarget.setAttribute('aria-pressed', String(on));
  if (on) comparing = ['speech', ...['happy', 'angry', ...drawn()].filter((name, i, all) => value.names.includes(name) && all.indexOf(name) === i)].slice(0, 3);
  player()?.compare(on ? comparing.map(one => ({ name: one, caption: word(one) })) : null);
  say(on ? 'Choose two to four feelings above.' : '');
  showChips();
};
window.addEventListener('emoface:time', event => { if (value && event.detail.id === value.player) { playhead = event.detail.seconds; show(); } });

function begin() {
  if (props.value?.run === value?.run) return;   // our own change
  value = props.value;
  history = []; chosen = null; comparing = []; playhead = 0;
  if (!value) return;
  lines = fromKeys(value.keys);
  brush = drawn().find(name => lines[name]) || drawn().find(name => name === 'happy') || drawn()[0];
  find('compare').setAttribute('aria-pressed', 'false');
  hint();
  showChips();
  show();
}
new ResizeObserver(show).observe(canvas);
new MutationObserver(show).observe(document.body, { attributes: true, attributeFilter: ['class'] });
watch('value', begin);
begin();
