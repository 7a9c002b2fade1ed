// The tab Live. Runs inside gr.HTML's js_on_load, after common.js. Microphone -> AudioWorklet (20 ms blocks of int16 at the device's own rate)
// -> WebSocket of this server -> frames for the player props.player_id. props.value: the name of the last take, which Python fetches.
// The sound is not played back. A lost connection is taken up again where it broke; what was said meanwhile is sent then.
const find = selector => element.querySelector(selector);
const root = find('.efl'), button = find('.efl-go'), level = find('.efl-level i'), status = find('.efl-status');
const KEPT_SECONDS = 14, RETRY_MS = 500;
const SLACK_MS = 2000, CATCH_UP_MS = 700;   // how long the slowest frame is remembered; how fast a delay that is not needed any more goes
const AT_ONCE = 4;   // frames that come together and may be left out without a jerk: a hop of the server, not what it computed late
const METER_MS = 250;   // how long the level stands still while no face is drawn
const LATE_MS = 1000, LATE_FRAMES = 15;   // later than this for so many frames is worth a sentence
const WORKLET = `registerProcessor('emoface-blocks', class extends AudioWorkletProcessor {
  constructor() { super(); this.block = new Int16Array(Math.round(sampleRate / 50)); this.filled = 0; }
  process([[channel]]) {
    for (const sample of channel || []) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.block.length) { this.port.postMessage(this.block.slice()); this.filled = 0; }
    }
    return true;
  }
});`;
let run = null;   // what goes on now; null at rest
const live = emoface.live = { ...(emoface.live || {}), latency: [], blocks: 0, get run() { return run; } };
live.settings ??= { feeling: { speech: 1 }, head: 0, idle: true, nods: true, level: 'normal', style: null };
live.set = settings => {
  live.settings = { ...live.settings, ...settings };
  if (run?.ready) tell({ feeling: live.settings.feeling });
};
live.drop = () => run?.socket?.close();   // for tests: the connection breaks

const say = text => { status.textContent = text; };
const state = name => {
  root.dataset.state = name;
  button.textContent = name === 'idle' ? 'Speak' : name === 'waiting' ? 'One moment…' : 'Stop';
  button.disabled = name === 'waiting';
  document.querySelector('#live-heads')?.toggleAttribute('inert', name !== 'idle');   // another head would take this one's frames
};
const tell = message => { if (run?.socket?.readyState === 1) run.socket.send(typeof message === 'object' && !ArrayBuffer.isView(message) ? JSON.stringify(message) : message); };
const player = () => emoface.players[props.player_id];

async function speak() {
  state('waiting');
  live.latency.length = live.blocks = 0;
  const mine = run = { blocks: [], samples: 0, frames: [], size: 0, last: null, name: null, ready: false, ended: false, heard: '', began: Infinity, head: null, arrivals: [], before: 0, together: 0, peak: 0, metered: 0, shown: -1, turn: null, late: 0, slow: false, news: '', chain: Promise.resolve() };
  try {
    if (props.off) throw new Error(props.off);
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw new Error('This browser gives no microphone to this page: open it as https://… or on localhost.');
    say('Asking for the microphone…');
    mine.media = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } })
      .catch(error => { throw new Error(error.name === 'NotFoundError' ? 'No microphone was found: connect one.' : 'The browser did not allow the microphone: allow it beside the address of this page.'); });
    await emoface.faces[props.player_id];
    if (!player()?.scene) throw new Error('The face is not there yet: wait until it is drawn.');
    const { header } = player().scene;
    Object.assign(mine, { fps: header.fps, size: 3 * header.vertices });
    player().stream({ frame: (now, newest) => frameFor(mine, now, newest && mine.together <= AT_ONCE), turn: () => header.neck && mine.turn, drawn: now => drawn(mine, now - mine.began - mine.shown / mine.fps * 1000) });
    mine.context = new AudioContext({ latencyHint: 'interactive' });
    const module = URL.createObjectURL(new Blob([WORKLET], { type: 'text/javascript' }));
    await mine.context.audioWorklet.addModule(module).finally(() => URL.revokeObjectURL(module));
    if (mine !== run) return release(mine);
    mine.rate = mine.context.sampleRate;
    const node = new AudioWorkletNode(mine.context, 'emoface-blocks'), silent = new GainNode(mine.context, { gain: 0 });
    mine.context.createMediaStreamSource(mine.media).connect(node).connect(silent).connect(mine.context.destination);   // pulled, not heard
    node.port.onmessage = event => heardBlock(mine, event.data);
    await mine.context.resume();
    connect(mine);
  } catch (error) {
    end(mine, error.message);
  }
}

function heardBlock(mine, block) {
  if (mine !== run || mine.ended || !mine.name) return;   // not before the server listens
  mine.samples += block.length;
  mine.began = Math.min(mine.began, performance.now() - mine.samples / mine.rate * 1000);   // when sample 0 was spoken, by this page's clock
  mine.blocks.push({ at: mine.samples - block.length, block });
  while (mine.samples - mine.blocks[0].at > KEPT_SECONDS * mine.rate) mine.blocks.shift();
  if (mine.ready) tell(block);
  live.blocks++;
  for (const sample of block) mine.peak = Math.max(mine.peak, Math.abs(sample));
  if (performance.now() - mine.metered > METER_MS) meter(mine);
}

/** The level is changed together with the face: where a processor draws, every change on the page costs as much as half a face, also such a small one. */
function meter(mine) {
  level.style.width = Math.min(100, 300 * mine.peak / 32768) + '%';
  mine.peak = 0;
  mine.metered = performance.now();
}

function connect(mine) {
  const root = new URL((window.gradio_config && window.gradio_config.root) || location.href, location.href).pathname.replace(/\/$/, '');
  const base = window.gradio_config?.root ? root : '';
  const socket = mine.socket = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + base + '/emoface/live');
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => socket.send(JSON.stringify({ rate: mine.rate, ...live.settings, resume: mine.name }));
  socket.onmessage = ({ data }) => {
    if (mine !== run || socket !== mine.socket) return;
    if (typeof data === 'string') told(mine, JSON.parse(data));
    else mine.chain = mine.chain.then(() => unpack(mine, data)).catch(error => end(mine, error.message));
  };
  socket.onclose = () => {
    if (mine !== run || mine.ended || socket !== mine.socket) return;
    mine.ready = false;
    if (!mine.name) return end(mine, 'The server cannot be reached: reload the page, or try again later.');
    say('The connection was lost; trying again…');
    setTimeout(() => { if (mine === run && !mine.ended) connect(mine); }, RETRY_MS);
  };
}

function told(mine, message) {
  if (message.type === 'ready') {
    mine.name = message.name;
    mine.limit = message.limit;
    for (const { at, block } of mine.blocks) if (at >= message.received) tell(block);
    mine.ready = true;
    tell({ feeling: live.settings.feeling });
    state('speaking');
    mine.slow = false;
    say(mine.news = 'Speak. Up to ' + Math.round(mine.limit) + ' seconds; the sound is not stored unless you export it.');
    if (mine.stopping) stop();
  } else if (message.type === 'heard') {
    mine.heard = message.emotion;
    mine.news = 'Your voice sounds ' + message.emotion + '.';
    if (!mine.slow) say(mine.news);
  } else if (message.type === 'done') {
    mine.chain.then(() => {
      end(mine, 'Here is your take.');
      props.value = message.name;
      trigger('change');
    });
  } else end(mine, message.message);
}

/** Frames as rooms.py packs them: each becomes an array of its own, in the units of the player's track, beside the rotation of the head. */
async function unpack(mine, data) {
  const [start, count, fresh] = new Uint32Array(data, 0, 3), turns = new Float32Array(data, 12, 9 * count);
  const inflating = new DecompressionStream('deflate'), writer = inflating.writable.getWriter();
  writer.write(new Uint8Array(data, 12 + turns.byteLength)).catch(() => {});   // what is wrong with it is found where it is read
  writer.close().catch(() => {});
  const bytes = new Uint8Array(await new Response(inflating.readable).arrayBuffer());
  const { size } = mine, half = count * size;
  let before = fresh ? new Int16Array(size) : mine.last;
  for (let t = 0; t < count; t++) {
    const frame = new Int16Array(size);
    for (let i = 0, at = t * size; i < size; i++, at++) frame[i] = before[i] + ((bytes[at] | bytes[half + at] << 8) << 16 >> 16);
    mine.frames.push({ number: start + t, frame, turn: turns.slice(9 * t, 9 * t + 9) });
    before = frame;
  }
  mine.last = before;
  mine.together = count;
  arrived(mine, start, performance.now());
}

/** Frames come several at a time and are shown evenly: ``mine.head`` is when frame 0 was due, so late that the slowest of the last two seconds
 *  is in time. It moves back at once when frames come late, and forward smoothly when none has for a while: then frames are left out. */
function arrived(mine, start, now) {
  mine.arrivals.push({ now, head: now - start / mine.fps * 1000 });
  while (now - mine.arrivals[0].now > SLACK_MS) mine.arrivals.shift();
  const needed = Math.max(...mine.arrivals.map(one => one.head));
  if (mine.head === null || mine.head < needed) mine.head = needed;
  else mine.head -= (mine.head - needed) * Math.min(1, (now - mine.before) / CATCH_UP_MS);
  mine.before = now;
}

/** A frame is on the screen, so many milliseconds after its sound; who sees a face that stays far behind is told so. */
function drawn(mine, latency) {
  live.latency.push(latency);
  meter(mine);
  mine.late = Math.max(0, Math.min(LATE_FRAMES, mine.late + (latency > LATE_MS ? 1 : -1)));
  const slow = mine.slow ? mine.late > 0 : mine.late === LATE_FRAMES;
  if (slow === mine.slow || mine.stopping) return;
  mine.slow = slow;
  say(slow ? 'The face is more than a second late: this computer, the server or the connection is too slow. Close what else is open; your take will be complete.' : mine.news);
}

/** The newest frame that is due, or the ``newest`` of all, or null. Where drawing is slower than frames come, waiting for their turn makes nothing smoother. */
function frameFor(mine, now, newest) {
  const due = newest ? Infinity : Math.floor((now - mine.head) / 1000 * mine.fps);
  let next = null;
  while (mine.frames.length && mine.frames[0].number <= due) next = mine.frames.shift();
  if (!next) return null;
  mine.shown = next.number;
  mine.turn = next.turn;
  return next.frame;
}

function stop() {
  if (!run || run.ended) return;
  run.stopping = true;
  release(run);
  state('waiting');
  say('Putting your take together…');
  if (run.ready) tell({ stop: true });
}

function release(mine) {
  mine.media?.getTracks().forEach(track => track.stop());
  mine.media = null;
  mine.context?.close().catch(() => {});
  mine.context = null;
  level.style.width = '0';
}

function end(mine, text) {
  if (mine.ended) return;
  mine.ended = true;
  release(mine);
  mine.socket?.close();
  if (mine !== run) return;
  run = null;
  player()?.stream(null);
  state('idle');
  say(text);
}

button.onclick = () => root.dataset.state === 'idle' ? speak() : stop();
if (props.off) { button.disabled = true; say(props.off); }
