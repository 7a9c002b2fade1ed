// The animations of this visit, to return to one or to see two side by side. Runs in gr.HTML's js_on_load, after common.js.
// props.value: { items: [{ name, label }], shown, asked } (see history.py); props.player: whose faces they are. Pictures are taken from that player here.
const find = name => element.querySelector('.efy-' + name);
const compare = find('compare'), pictures = {};
let pair = null;   // names chosen so far while two are being chosen

function show() {
  const { items = [], shown } = props.value || {};
  element.querySelector('.efy').hidden = !items.length;
  compare.disabled = items.length < 2;
  compare.setAttribute('aria-pressed', String(pair !== null));
  find('says').textContent = pair ? 'Choose two.' : '';
  find('items').replaceChildren(...items.map(({ name, label }) => {
    const button = document.createElement('button'), words = document.createElement('span');
    const picture = document.createElement(pictures[name] ? 'img' : 'i');
    if (pictures[name]) Object.assign(picture, { src: pictures[name], alt: '' });
    button.type = 'button';
    button.dataset.name = name;
    button.title = words.textContent = label;
    button.setAttribute('aria-pressed', String(pair ? pair.includes(name) : name === shown));
    button.append(picture, words);
    button.onclick = () => choose(name);
    return button;
  }));
}

function choose(name) {
  if (!pair) return ask([name]);
  pair = pair.includes(name) ? pair.filter(other => other !== name) : [...pair, name];
  if (pair.length < 2) return show();
  const both = pair;
  pair = null;
  ask(both);
}
function ask(asked) {
  props.value = { ...props.value, asked };
  show();
  trigger('chosen');
}
compare.onclick = () => { pair = pair ? null : []; show(); };

window.addEventListener('emoface:time', ({ detail }) => {
  const player = detail.id === props.player && emoface.players[props.player], name = player?.made?.entry;
  if (!name || pictures[name] || detail.seconds < Math.min(0.7, detail.duration / 2)) return;
  if ((pictures[name] = player.picture(120))) show();
});
watch('value', show);
show();
