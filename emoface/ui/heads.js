// Heads as pictures: one image with a column per head. props: value (index), pictures (address), names.
const group = element.querySelector('.efh'), count = props.names.length;
const buttons = props.names.map((name, index) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('role', 'radio');
  button.setAttribute('aria-label', name);
  button.title = name;
  button.style.backgroundImage = 'url("' + served(props.pictures) + '")';
  button.style.backgroundSize = count * 100 + '% 100%';
  button.style.backgroundPosition = (count > 1 ? index / (count - 1) * 100 : 0) + '% 0';
  button.onclick = () => choose(index);
  return button;
});
group.replaceChildren(...buttons);

function mark() {
  const chosen = Number(props.value) || 0;
  buttons.forEach((button, index) => { button.setAttribute('aria-checked', String(index === chosen)); button.tabIndex = index === chosen ? 0 : -1; });
}
function choose(index) {
  props.value = index;
  mark();
  trigger('change');
}
group.addEventListener('keydown', event => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  choose(((Number(props.value) || 0) + step + count) % count);
  buttons[Number(props.value)].focus();
});
watch('value', mark);
mark();
