// A Plotly chart in the page's colours that can follow a player. Runs in gr.HTML's js_on_load, after common.js.
// props.value: { run, title, note, summary, height, follows, figure: { data, layout } } (see chart.py).

const part = name => element.querySelector('.efc-' + name);
const plot = part('plot'), cursor = part('cursor');
let drawn = null, following = null;

/** Colours of the theme as it is now; Plotly cannot read CSS variables itself. */
function themed(layout) {
  const style = getComputedStyle(element), read = name => style.getPropertyValue(name).trim();
  const text = read('--body-text-color'), line = read('--border-color-primary');
  const axis = { color: text, gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true, fixedrange: true };
  const merged = { ...layout, font: { family: style.fontFamily, size: 12.5, color: text, ...layout.font }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)' };
  for (const name of ['xaxis', 'yaxis']) merged[name] = { ...axis, ...layout[name] };
  return merged;
}

function place(seconds) {
  const layout = plot._fullLayout, x = layout?.xaxis;
  if (!following || !x) { cursor.hidden = true; return; }
  const at = x.l2p(seconds);
  cursor.hidden = !(at >= 0 && at <= x._length);
  cursor.style.transform = 'translate(' + (layout._size.l + at) + 'px, ' + layout._size.t + 'px)';   // moves without a new layout
  cursor.style.height = layout._size.h + 'px';
}

/** Faces come first: the whole library is large, and drawing a chart would hold them up. A page without a player, or one that is stuck, is
 *  not waited for longer than some seconds. */
async function faces() {
  const deadline = Date.now() + 8000, pause = () => new Promise(done => setTimeout(done, 50));
  while (Date.now() < deadline && !(following ? emoface.faces[following] : Object.keys(emoface.faces).length)) await pause();
  const wanted = following ? [emoface.faces[following]] : Object.values(emoface.faces);
  await Promise.race([Promise.all(wanted), new Promise(done => setTimeout(done, Math.max(0, deadline - Date.now())))]);
}

/** The texts of a figure in the page's language, before Plotly makes room for them. */
function spoken({ data, layout }) {
  const say = part => Array.isArray(part) ? part.map(say) : emoface.say(part);
  const axis = one => one?.title ? { ...one, title: { ...one.title, text: say(one.title.text) } } : one;
  const said = trace => Object.fromEntries(Object.entries(trace).map(([key, part]) => [key, ['name', 'text', 'x', 'y'].includes(key) ? say(part) : key === 'colorbar' ? axis(part) : part]));
  return { data: data.map(said), layout: { ...layout, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis) } };
}

async function show(value) {
  part('title').textContent = value?.title || '';
  part('note').textContent = value?.note || '';
  part('summary').textContent = value?.summary || '';
  following = value?.follows || null;
  drawn = value;
  plot.style.minHeight = (value?.height || 0) + 'px';   // room is kept before the drawing arrives
  if (!value?.figure) {   // only words: what was drawn before goes
    window.Plotly?.purge(plot);
    return;
  }
  plot.setAttribute('aria-label', emoface.say(value.title) + '. ' + emoface.say(value.summary));
  try {
    await faces();
    await loadLibrary(served(props.plotly_url));
    if (drawn !== value || plot.clientWidth === 0) return;
    const figure = spoken(value.figure);
    await window.Plotly.react(plot, figure.data, themed({ ...figure.layout, height: value.height, width: plot.clientWidth }), { displayModeBar: false, responsive: false });
    if (!drawn?.figure) return window.Plotly.purge(plot);   // taken back meanwhile
    if (following) {
      plot.removeAllListeners?.('plotly_click');
      plot.on('plotly_click', event => seekTo(event.points[0].x));
      place(emoface.players[following]?.audio.currentTime || 0);
    }
  } catch (error) { part('note').textContent = error.message; }
}
const seekTo = seconds => window.dispatchEvent(new CustomEvent('emoface:seek', { detail: { id: following, seconds: Number(seconds) } }));

// A click anywhere in the plotting area seeks, also where no point is near.
plot.addEventListener('click', event => {
  const layout = plot._fullLayout;
  if (!following || !layout) return;
  const at = event.clientX - plot.getBoundingClientRect().left - layout._size.l;
  if (at >= 0 && at <= layout.xaxis._length) seekTo(layout.xaxis.p2l(at));
});
window.addEventListener('emoface:time', event => { if (event.detail.id === following) place(event.detail.seconds); });
new ResizeObserver(() => {
  if (!drawn?.figure || plot.clientWidth === 0 || plot._fullLayout?.width === plot.clientWidth) return;
  show(drawn);
}).observe(part('area'));
new MutationObserver(() => { if (drawn) show(drawn); }).observe(document.body, { attributes: true, attributeFilter: ['class'] });   // light <-> dark
window.addEventListener('emoface:language', () => { if (drawn) show(drawn); });
watch('value', () => show(props.value));
show(props.value);
