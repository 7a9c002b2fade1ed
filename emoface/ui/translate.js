// The page in the browser's language, or in that of ?lang=…: English texts are replaced where they appear, by the table of emoface/ui/texts.
// What the page sends stays English: only what is read is changed. Runs once, before Gradio draws anything; LANGUAGES is filled in by Python.
(() => {
  const emoface = (window.emoface ??= { libraries: {}, players: {}, faces: {} });
  const given = new URLSearchParams(location.search).get('lang'), known = ['en', ...LANGUAGES];
  const language = [given, ...navigator.languages].map(tag => (tag || '').slice(0, 2).toLowerCase()).find(tag => known.includes(tag)) || 'en';
  document.documentElement.lang = language;
  Object.defineProperty(navigator, 'language', { value: language === 'zh' ? 'zh-CN' : language, configurable: true });   // Gradio's own words follow it
  if (language === 'en') return;

  const ATTRIBUTES = ['aria-label', 'aria-valuetext', 'title', 'placeholder', 'alt'], NUMBER = '([\\d.,]+)', KEPT = 2000;
  const FEELINGS = 'neutral|calm|happy|sad|angry|fearful|disgust|disgusted|surprised|directed';
  const written = new WeakMap(), found = new Map();   // text node -> what was put there; English -> translation, for texts seen lately
  let table = {}, patterns = [];

  /** "Up to {n} seconds" -> what matches it, and the names of its gaps in order. */
  function pattern(english, translation) {
    const names = [], escaped = english.split(/\{(\w+)\}/).map((part, at) => {
      if (at % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      names.push(part);
      return /^[nmk]$/.test(part) ? NUMBER : /^(emotion|other)$/.test(part) ? '(' + FEELINGS + '|' + FEELINGS.replace(/\b\w/g, c => c.toUpperCase()) + ')' : '(.+?)';
    });
    return { shape: new RegExp('^' + escaped.join('') + '$', 's'), names, translation };
  }
  function lookUp(text) {
    if (Object.hasOwn(table, text)) return table[text];
    for (const { shape, names, translation } of patterns) {
      const match = text.match(shape);
      if (match) return translation.replace(/\{(\w+)\}/g, (_, name) => { const part = match[names.indexOf(name) + 1]; return lookUp(part) ?? table[part[0].toUpperCase() + part.slice(1)] ?? part; });
    }
    if (!text.includes(' · ')) return text.endsWith('.') && Object.hasOwn(table, text.slice(0, -1)) ? table[text.slice(0, -1)] + '.' : null;
    const parts = text.replace(/\.$/, '').split(' · '), said = parts.map(part => lookUp(part) ?? part);
    return said.some((part, at) => part !== parts[at]) ? said.join(' · ') + (text.endsWith('.') ? '.' : '') : null;
  }
  /** A text in the page's language; one that the table does not know stays as it is. */
  emoface.say = text => {
    const core = typeof text === 'string' ? text.trim().replace(/\s+/g, ' ') : '';
    if (!/[a-z]/i.test(core)) return text;
    if (!found.has(core)) {
      if (found.size > KEPT) found.clear();
      found.set(core, lookUp(core));
    }
    const said = found.get(core);
    return said === null ? text : text.match(/^\s*/)[0] + said + text.match(/\s*$/)[0];
  };

  const left = node => node.closest('script, style, code, pre, textarea, [translate="no"]');
  function put(node) {
    if (written.get(node) === node.data || !node.parentElement || left(node.parentElement)) return;
    const said = emoface.say(node.data);
    if (said !== node.data) node.data = said;
    written.set(node, said);
  }
  function name(node, attribute) {
    const text = node.getAttribute(attribute), said = text && emoface.say(text);
    if (said && said !== text && !left(node)) node.setAttribute(attribute, said);
  }
  function all(root) {
    if (root.nodeType === Node.TEXT_NODE) return put(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) put(walker.currentNode);
    for (const node of [root, ...root.querySelectorAll(ATTRIBUTES.map(attribute => '[' + attribute + ']').join())]) for (const attribute of ATTRIBUTES) name(node, attribute);
  }
  /** Before the browser paints, so that nobody sees the English first. */
  const watcher = new MutationObserver(changes => {
    for (const { type, target, attributeName, addedNodes } of changes) {
      if (type === 'attributes') name(target, attributeName);
      else if (type === 'characterData') put(target);
      else addedNodes.forEach(all);
    }
  });
  emoface.texts = fetch('emoface/texts/' + language + '.json').then(answer => answer.json()).then(texts => {
    table = texts;
    patterns = Object.keys(texts).filter(english => english.includes('{')).map(english => pattern(english, texts[english]));
    watcher.observe(document.documentElement, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
    all(document.documentElement);
    window.dispatchEvent(new Event('emoface:language'));   // drawings hold texts, too
  }).catch(error => console.error('EmoFace: this page stays English', error));
})();
