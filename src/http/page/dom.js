// Elements by hand. Everything of a call comes from strangers: it goes in as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** The first element that `selector` means. */
export const $ = (selector, root = document) => root.querySelector(selector);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h('p', {class: 'note', onclick: act}, 'text', child)`. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A part of a page with a heading of its own. */
export const section = (name, heading, ...children) =>
  h(
    'section',
    { class: `panel ${name}`, 'aria-labelledby': `h-${name}` },
    h('h2', { id: `h-${name}` }, heading),
    ...children,
  );

/** Sets a text, and touches the document only if it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a `data-` attribute likewise. */
export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

/**
 * Shows `items` as the children of `parent`. What did not change since the last time stays as it is, with its focus and
 * selection: lists here grow at their end, and whoever looks at the end keeps seeing it.
 */
export function showList(parent, items, build) {
  const keys = items.map((item) => JSON.stringify(item));
  const shown = parent.shownKeys ?? [];
  let same = 0;
  while (same < keys.length && same < shown.length && keys[same] === shown[same]) same += 1;
  if (same === keys.length && same === shown.length) return;
  const atEnd = parent.scrollTop > 0 && parent.scrollTop + parent.clientHeight > parent.scrollHeight - 8;
  while (parent.childElementCount > same) parent.lastElementChild.remove();
  parent.append(...items.slice(same).map(build));
  parent.shownKeys = keys;
  if (atEnd) parent.scrollTop = parent.scrollHeight;
}

/** Asks before something that cannot be undone. Resolves to whether it was confirmed. */
export function confirm(question, details, verb) {
  const dialog = $('#confirm');
  setText($('h2', dialog), question);
  setText($('p', dialog), details);
  setText($('[value=yes]', dialog), verb);
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

/** Shows a message at the foot of the page for a while, and has it read out. */
export function toast(message, isError = false) {
  const box = $('#toast');
  box.hidden = false;
  setData(box, 'kind', isError ? 'error' : 'done');
  box.textContent = message;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => {
    box.hidden = true;
  }, 8_000);
}

const REST_MS = 5_000;
let waiting = [];
let resting = false;

/**
 * Has screen readers say something, at most every few seconds: what comes meanwhile is said together, and of many things
 * only how many of each `kind` there were.
 */
export function announce(sentence, kind = null) {
  waiting.push({ sentence, kind });
  if (!resting) speak();
}

function speak() {
  resting = waiting.length > 0;
  if (!resting) return;
  setText($('#announcer'), summed(waiting).join(' '));
  waiting = [];
  setTimeout(speak, REST_MS);
}

/** A few sentences as they are; of more the calls are counted. */
function summed(said) {
  if (said.length <= 3) return said.map(({ sentence }) => sentence);
  const own = said.filter(({ kind }) => kind === null).map(({ sentence }) => sentence);
  const kinds = Object.entries(Object.groupBy(said.filter(({ kind }) => kind !== null), ({ kind }) => kind));
  return [...own, ...kinds.map(([kind, all]) => `Calls ${kind}: ${all.length}.`)];
}
