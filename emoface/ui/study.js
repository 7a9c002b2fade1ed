// The rating form. Runs inside gr.HTML's js_on_load(element, trigger, props, server, upload, watch).
// Every screen is built from the server's reply; texts enter the page through textContent only.

const root = element.querySelector('.sf');
const ask = request => server.study_call(request);
const stored = { get: key => { try { return localStorage.getItem(key); } catch { return null; } },
                 set: (key, value) => { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* private mode */ } } };
let study = null, language = 'en', code = null, texts = null, leaving = new AbortController();

/* ---- small helpers ---- */

/** An element with attributes and children; `on…` attributes are listeners, strings become text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const heading = text => el('h2', { tabindex: '-1' }, text);
const button = (text, onclick, more = {}) => el('button', { type: 'button', class: 'sf-button', onclick, ...more }, text);
const addressOf = file => ((window.gradio_config && window.gradio_config.root) || '') + props.clips_url + '/' + file;
const clipName = index => String.fromCharCode(65 + index);

/** Put a screen on the page and move the focus to its heading, so that keyboards and screen readers follow. */
function show(name, ...children) {
  for (const media of root.querySelectorAll('video, audio')) media.pause();
  const first = root.dataset.screen === undefined;
  root.replaceChildren(el('div', { class: 'sf-screen' }, ...children));
  root.dataset.screen = name;
  root.lang = language;
  const title = root.querySelector('h2');
  if (!first && title) { title.focus({ preventScroll: true }); root.scrollIntoView({ block: 'start' }); }
}

/** Ask the server, trying again while the connection fails; the answers stay on the page. */
async function persist(request, status) {
  for (let attempt = 0; ; attempt++) {
    try { return await ask(request); }
    catch (problem) {
      if (attempt === 3) { status.textContent = texts.form.retry; throw problem; }
      await new Promise(done => setTimeout(done, 500 * 2 ** attempt));
    }
  }
}

/** A button that sends a request and goes on with the reply, or says why not. */
function sender(text, makeRequest, next) {
  const status = el('p', { class: 'sf-status', role: 'alert' });
  const send = button(text, async () => {
    if (send.disabled || send.getAttribute('aria-disabled') === 'true') return;
    send.disabled = true;
    status.textContent = '';
    try {
      const reply = await persist(makeRequest(), status);
      if (reply.error) status.textContent = texts.errors[reply.error];
      else return next(reply);
    } catch { /* the status says so */ }
    send.disabled = false;
  }, { class: 'sf-button sf-primary' });
  return { send, status };
}

/* ---- a clip that has to be played through ---- */

const SLOW = 0.6;   // least share of the frames that the 3D player must draw: 18 of 30 a second
const slowKey = () => 'emoface-study-slow-' + study.study;
const stages = {};  // 3D players by place on the page; each is kept, since browsers allow few 3D views

/** The 3D player of the app, without its controls, at one place of the page. */
function stage(place) {
  return stages[place] ??= (async () => {
    if (!document.createElement('canvas').getContext('webgl')) throw new Error('no WebGL');
    const [html, css, script] = await Promise.all(['player.html', 'player.css', 'player.js'].map(async name => {
      const answer = await fetch(addressOf(name));
      if (!answer.ok) throw new Error(name);
      return answer.text();
    }));
    const host = el('div', { class: 'sf-3d', 'aria-hidden': 'true', inert: true });
    host.innerHTML = html;   // the app's own file
    host.append(el('style', {}, '.sf-3d {' + css + '}'));
    const own = { player_id: 'study-' + place, plotly_url: props.plotly_url, look_url: props.look_url, light: props.light, fast: true, empty: ' ' };
    let redraw, ready;
    new Function('element', 'trigger', 'props', 'server', 'upload', 'watch', script)(host, name => name === 'face_ready' && ready(), own, {}, null, (name, callback) => { redraw = callback; });
    const handle = window.emoface.players[own.player_id];
    const load = clip => new Promise((done, failed) => {
      ready = done;
      setTimeout(() => failed(new Error('the 3D player is not ready')), 30000);
      own.value = { animation: { url: addressOf(clip + '.efp') }, sounds: [{ label: '', file: { url: addressOf(clip + '.wav') } }], run: clip, autoplay: 'off' };
      redraw();
    });
    return { host, load, media: handle.audio, drawn: () => handle.scene.drawn, frames: () => handle.scene.header.frames };
  })();
}

/** A video of the clip, downloaded as a whole first: playback cannot stall, and a stall would be rated. */
async function video(clip) {
  const answer = await fetch(addressOf(clip + '.mp4'));
  if (!answer.ok) throw new Error('HTTP ' + answer.status);
  const film = el('video', { playsinline: true, preload: 'auto', disablepictureinpicture: true, tabindex: '-1', 'aria-hidden': 'true' });
  film.src = URL.createObjectURL(await answer.blob());
  return film;
}

/** `name` is the letter among several clips or null; `onended` is called after each complete playback. */
function player(clip, place, { name, scene, ended, onended, onslow }) {
  const say = key => name === null ? texts.rating[key] : fill(texts.rating[key + '_named'], { name });
  const label = el('span', {}), overlay = el('button', { type: 'button', class: 'sf-play' }, el('span', { class: 'sf-icon', 'aria-hidden': 'true' }), label);
  const bar = el('div', { class: 'sf-bar', 'aria-hidden': 'true' }, el('div', {})), screen = el('div', { class: 'sf-picture' });
  const box = el('figure', { class: 'sf-clip', 'data-state': 'waiting', 'data-plays': '0' }, name === null ? null : el('figcaption', {}, say('clip')), el('div', { class: 'sf-film' }, screen, overlay, bar));
  const state = { box, plays: 0, ended, smoothness: null, player: 'video' };
  let media = null, reached = 0, drawn = 0, measure = null;
  const refresh = () => {
    const key = state.ended ? 'replay' : 'play';
    label.textContent = texts.rating[key];
    overlay.setAttribute('aria-label', say(key));
    box.dataset.state = !media ? 'loading' : !media.paused && !media.ended ? 'playing' : media.ended ? 'ended' : 'waiting';
  };

  async function showVideo() {
    const film = await video(clip);
    const dropped = () => { const quality = film.getVideoPlaybackQuality?.(); return quality ? [quality.droppedVideoFrames, quality.totalVideoFrames] : null; };
    let before = null;
    measure = { start: () => { before = dropped(); }, share: () => { const now = dropped(); return now && now[1] > before[1] ? Math.max(0, 1 - (now[0] - before[0]) / (now[1] - before[1])) : null; } };
    state.player = 'video';
    screen.replaceChildren(film);
    wire(film);
  }
  async function showScene() {
    const view = await stage(place);
    screen.replaceChildren(view.host);
    await view.load(clip);
    measure = { start: () => { drawn = view.drawn(); }, share: () => Math.min(1, (view.drawn() - drawn) / view.frames()) };
    state.player = '3d';
    wire(view.media);
  }
  function wire(element) {
    media = element;
    const on = (event, action) => media.addEventListener(event, action, { signal: leaving.signal });
    on('timeupdate', () => {
      if (!media.seeking && media.currentTime - reached < 1) reached = Math.max(reached, media.currentTime);
      bar.firstChild.style.width = (100 * media.currentTime / (media.duration || 1)) + '%';
    });
    on('seeking', () => { if (media.currentTime > reached + 1) media.currentTime = reached; });
    on('error', fail);
    for (const event of ['play', 'pause', 'ended']) on(event, refresh);
    on('ended', finished);
    refresh();
  }
  function finished() {
    if (reached < media.duration - 1) return;
    const share = measure.share();
    if (state.player === '3d' && share < SLOW) {   // measured too slow: a video from now on
      stored.set(slowKey(), String(share));
      media = null;
      refresh();
      showVideo().catch(fail);
      return onslow();
    }
    state.smoothness = share;
    box.dataset.plays = ++state.plays;
    state.ended = true;
    refresh();
    overlay.focus({ preventScroll: true });
    onended();
  }
  function fail() { box.dataset.failed = 'true'; label.textContent = texts.rating.cannot_play; }

  overlay.addEventListener('click', () => {
    if (!media || !media.paused) return;
    for (const other of root.querySelectorAll('video, audio')) if (other !== media && other.src) { other.pause(); other.currentTime = 0; }
    media.currentTime = 0;
    reached = 0;
    measure.start();
    media.play().catch(fail);
  });
  refresh();
  if (scene && stored.get(slowKey()) === null) showScene().catch(() => showVideo().catch(fail));
  else showVideo().catch(fail);
  return state;
}

/** Players of a page and what the server must know about them; `onchange` is called when one has ended. */
function clipsOf(reply, status, onchange) {
  leaving.abort();
  leaving = new AbortController();
  const several = reply.clips.length > 1, players = {};
  reply.clips.forEach((clip, index) => {
    const state = player(clip, index, {
      name: several ? clipName(index) : null, scene: reply.scenes.includes(clip), ended: reply.ended.includes(clip),
      onslow: () => { status.textContent = texts.rating.slow; },
      onended: async () => {
        status.textContent = '';
        try {
          const answer = await persist({ action: 'ended', code, page: reply.page, clip }, status);
          if (answer.error) { state.ended = false; status.textContent = texts.errors[answer.error]; }
        } catch { state.ended = false; }
        onchange();
      },
    });
    players[clip] = state;
  });
  const grid = el('div', { class: 'sf-clips', 'data-count': reply.clips.length }, ...Object.values(players).map(state => state.box));
  return { players, grid, complete: () => Object.values(players).every(state => state.ended) };
}

/* ---- screens before the rating ---- */

function consentScreen() {
  texts = study.texts[language];
  const agree = el('input', { type: 'checkbox', id: 'sf-agree' });
  const choose = el('select', { id: 'sf-language', 'aria-label': 'Language', onchange: event => { language = event.target.value; consentScreen(); } },
    ...study.languages.map(name => el('option', { value: name, selected: name === language }, study.texts[name].language)));
  const note = el('p', { class: 'sf-status', role: 'alert' });
  const start = button(texts.form.start, () => agree.checked ? aboutScreen() : (note.textContent = texts.errors.consent), { class: 'sf-button sf-primary' });
  const saved = stored.get('emoface-study-' + study.study);
  const input = el('input', { type: 'text', id: 'sf-code', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', maxlength: '40', value: saved ?? '' });
  const { send: resume, status } = sender(texts.consent.resume, () => ({ action: 'resume', code: input.value }), reply => enter(reply));
  resume.classList.remove('sf-primary');
  input.addEventListener('keydown', event => { if (event.key === 'Enter') resume.click(); });
  show('consent',
    el('div', { class: 'sf-top' }, el('h1', {}, study.title[language]), study.languages.length > 1 ? choose : null),
    heading(texts.consent.heading),
    el('ul', { class: 'sf-text' }, ...texts.consent.body.map(line => el('li', {}, fill(line, study)))),
    el('label', { class: 'sf-agree', for: 'sf-agree' }, agree, el('span', {}, texts.consent.agree)),
    el('div', { class: 'sf-row' }, start), note,
    el('details', { class: 'sf-resume', open: saved !== null }, el('summary', {}, texts.consent.resume_heading),
      saved === null ? null : el('p', {}, texts.consent.resume_saved),
      el('label', { for: 'sf-code' }, texts.consent.resume_label), el('div', { class: 'sf-row' }, input, resume), status));
}

function aboutScreen() {
  const choices = ['age', 'experience', 'vision'].map(key => {
    const select = el('select', { id: 'sf-' + key }, el('option', { value: '' }, texts.about.open),
      ...texts.about[key + '_options'].map((text, index) => el('option', { value: index }, text)));
    return { key, select, row: el('div', { class: 'sf-field' }, el('label', { for: 'sf-' + key }, texts.about[key]), select) };
  });
  const { send, status } = sender(texts.form.next, () => ({
    action: 'begin', language, consent: true,
    about: Object.fromEntries(choices.filter(choice => choice.select.value !== '').map(choice => [choice.key, Number(choice.select.value)])),
  }), reply => { code = reply.code; stored.set('emoface-study-' + study.study, code); codeScreen(reply); });
  show('about', heading(texts.about.heading), el('p', { class: 'sf-text' }, texts.about.body), ...choices.map(choice => choice.row), el('div', { class: 'sf-row' }, send), status);
}

function codeScreen(reply) {
  const copy = button(texts.code.copy, () => navigator.clipboard?.writeText(code).then(() => { copy.textContent = texts.code.copied; }));
  show('code', heading(texts.code.heading), el('p', { class: 'sf-text' }, texts.code.body), el('p', { class: 'sf-code' }, el('code', {}, code)),
    el('div', { class: 'sf-row' }, copy, button(texts.form.next, () => enter(reply), { class: 'sf-button sf-primary' })));
}

function checkScreen(reply) {
  const beeps = el('input', { type: 'number', id: 'sf-beeps', min: '0', max: '20', inputmode: 'numeric' });
  const number = el('input', { type: 'number', id: 'sf-number', min: '0', max: '999', inputmode: 'numeric' });
  const { send, status } = sender(texts.form.next, () => ({ action: 'check', code, page: reply.page, beeps: parseInt(beeps.value, 10), number: parseInt(number.value, 10) }), enter);
  const fields = el('fieldset', { class: 'sf-plain', disabled: true },
    el('div', { class: 'sf-field' }, el('label', { for: 'sf-beeps' }, texts.check.beeps), beeps),
    el('div', { class: 'sf-field' }, el('label', { for: 'sf-number' }, texts.check.number), number), el('div', { class: 'sf-row' }, send));
  const refresh = () => { fields.disabled = !clips.complete(); };
  const clips = clipsOf(reply, status, refresh);
  refresh();
  show('check', heading(texts.check.heading), reply.notice ? el('p', { class: 'sf-notice', role: 'alert' }, texts.check[reply.notice]) : null,
    el('p', { class: 'sf-text' }, texts.check.body), el('div', { class: 'sf-split' }, clips.grid, el('div', { class: 'sf-questions' }, fields, status)));
}

function instructionScreen(reply) {
  show('instructions', heading(texts.instructions.heading), reply.notice ? el('p', { class: 'sf-notice', role: 'alert' }, texts.check[reply.notice]) : null,
    el('ul', { class: 'sf-text' }, ...texts.instructions.body.map(line => el('li', {}, line))),
    study.practice ? el('p', { class: 'sf-text' }, fill(texts.instructions.practice, { count: study.practice })) : null,
    el('div', { class: 'sf-row' }, button(texts.form.start, () => pageScreen(reply), { class: 'sf-button sf-primary' })));
}

/* ---- rating ---- */

/** One question for one clip: five labelled categories, none chosen. */
function scale(aspect, clip, name, values, onchange) {
  const group = `sf-${clip}-${aspect.id}`, labels = study.labels[language];
  const radios = labels.map((label, index) => el('input', { type: 'radio', name: group, id: `${group}-${index}`, value: index + 1,
    checked: values[clip]?.[aspect.id] === index + 1, onchange: () => { (values[clip] ??= {})[aspect.id] = index + 1; onchange(); } }));
  const title = name === null ? aspect.question[language] : `${fill(texts.rating.clip_named, { name })}: ${aspect.question[language]}`;
  const box = el('div', { class: 'sf-scale', role: 'radiogroup', 'aria-label': title },
    name === null ? null : el('span', { class: 'sf-letter', 'aria-hidden': 'true' }, name),
    ...radios.map((radio, index) => el('label', { for: radio.id }, radio, el('b', {}, String(index + 1)), el('span', {}, labels[index]))));
  box.addEventListener('keydown', event => {
    const chosen = radios[Number(event.key) - 1];
    if (chosen && !chosen.matches(':disabled')) { chosen.checked = true; chosen.focus(); chosen.dispatchEvent(new Event('change')); }
  });
  return box;
}

function pageScreen(reply, notice = null) {
  const values = structuredClone(reply.given ?? {}), several = reply.clips.length > 1;
  const hint = el('p', { class: 'sf-hint', role: 'status', 'aria-live': 'polite' });
  const { send, status } = sender(texts.form.next, () => ({
    action: 'answer', code, page: reply.page, answers: values, revise: reply.given !== undefined,
    plays: Object.fromEntries(reply.clips.map(clip => [clip, Math.max(1, clips.players[clip].plays)])),
    players: Object.fromEntries(reply.clips.map(clip => [clip, clips.players[clip].player])),
    smoothness: Object.fromEntries(reply.clips.map(clip => [clip, clips.players[clip].smoothness])),
  }), answer => enter(answer, reply.practice && answer.practice === false ? texts.training.done : null));
  const { send: back, status: backStatus } = sender(texts.form.back, () => ({ action: 'back', code, page: reply.page - 1 }), earlier => pageScreen(earlier));
  back.className = 'sf-button sf-back';
  const open = () => reply.clips.length * study.aspects.length - Object.values(values).reduce((sum, given) => sum + Object.keys(given).length, 0);
  const refresh = () => {
    const complete = clips.complete();
    questions.disabled = !complete;
    send.setAttribute('aria-disabled', String(!complete || open() > 0));
    hint.textContent = !complete ? (several ? texts.rating.watch_all : texts.rating.watch_first)
      : open() === reply.clips.length * study.aspects.length ? texts.rating.ready : open() ? fill(texts.rating.unanswered, { count: open() }) : '';
  };
  send.addEventListener('click', () => {  // pressed too early: go to what is missing
    if (send.getAttribute('aria-disabled') !== 'true') return;
    const missing = clips.complete() ? questions.querySelector('.sf-scale:not(:has(:checked)) input')
      : Object.values(clips.players).find(state => !state.ended).box.querySelector('.sf-play');
    missing.focus();
  });
  const clips = clipsOf(reply, status, refresh);
  const questions = el('fieldset', { class: 'sf-plain' }, ...study.aspects.map(aspect => el('section', { class: 'sf-aspect' },
    el('h3', {}, aspect.name[language]), el('p', {}, aspect.question[language]),
    ...reply.clips.map((clip, index) => scale(aspect, clip, several ? clipName(index) : null, values, refresh)))));
  refresh();
  const progress = fill(texts.form.progress, { page: reply.page + 1, pages: reply.pages });
  show('page',
    el('div', { class: 'sf-progress' }, el('progress', { max: reply.pages, value: reply.page, 'aria-label': progress }), el('span', {}, progress)),
    el('div', { class: 'sf-top' }, heading(reply.practice ? texts.training.heading : texts.rating.heading)),
    notice ? el('p', { class: 'sf-notice', role: 'alert' }, notice) : null,
    el('div', { class: several ? 'sf-stack' : 'sf-split' }, clips.grid,
      el('div', { class: 'sf-questions' }, questions, el('div', { class: 'sf-row sf-send' }, reply.page > 0 ? back : null, send, hint), status, backStatus)));
}

/** Show what the server says comes next. */
function enter(reply, notice = null) {
  if (reply.code) { code = reply.code; stored.set('emoface-study-' + study.study, code); }
  if (reply.language) language = reply.language;
  texts = study.texts[language];
  if (reply.screen === 'check') checkScreen(reply);
  else if (reply.screen === 'page') reply.page === 0 ? instructionScreen(reply) : pageScreen(reply, notice ?? (reply.notice ? texts.check[reply.notice] : null));
  else {
    stored.set('emoface-study-' + study.study, null);
    show('done', heading(texts.done.heading), el('p', { class: 'sf-text' }, texts.done.body));
  }
}

/* ---- export for the study's owner: the page's address with #study-export ---- */

function exportScreen() {
  texts = study.texts[language];
  const token = el('input', { type: 'password', id: 'sf-token', autocomplete: 'off' });
  const { send, status } = sender('Download', () => ({ action: 'export', token: token.value }), reply => {
    const bytes = Uint8Array.from(atob(reply.zip), letter => letter.charCodeAt(0));
    const link = el('a', { href: URL.createObjectURL(new Blob([bytes], { type: 'application/zip' })), download: 'study-answers.zip' });
    link.click();
    status.textContent = `${reply.raters} raters, ${reply.answers} answers`;
    send.disabled = false;
  });
  show('export', heading('Export'), el('div', { class: 'sf-field' }, el('label', { for: 'sf-token' }, 'Admin token'), token), el('div', { class: 'sf-row' }, send), status);
}

(async () => {
  study = await ask({ action: 'open' });
  const wanted = (navigator.languages || [navigator.language]).map(name => name.slice(0, 2));
  language = wanted.find(name => study.languages.includes(name)) ?? study.languages[0];
  if (location.hash === '#study-export' && study.export) exportScreen(); else consentScreen();
  root.dataset.ready = 'true';
})().catch(() => { root.textContent = 'The study could not be loaded. Please reload the page.'; });
