// The list of live calls. With hundreds of them it stays quick: a row off the screen is not touched, a cell only if its
// text is another one, and all that happens within a frame is drawn at once.

import { api, callPath } from './api.js';
import { $, announce, confirm, h, setData, setText, toast } from './dom.js';
import { board, durationOf, on } from './live.js';
import { numbersButton, parties, watchNumbers } from './numbers.js';
import { drops, makeRow, searchText, showHead, way } from './rows.js';
import { MODEL, STATES, clock, count, ending, fallbackWords, latency, many } from './words.js';

/** An ended call stays this long, so that nothing moves away under the pointer unseen. */
const LINGER_MS = 4_000;
const SORT_EVERY_MS = 3_000;

const COLUMNS = [
  [
    'state',
    'State',
    (call) => (call.state === 'ended' ? ending(call.endReason).short : (STATES[call.state] ?? call.state)),
  ],
  ['who', 'From → to', (call) => parties(call) ?? call.callId],
  ['way', 'Route · link', (call) => way(call) || 'no media yet'],
  ['duration', 'Duration', (call) => clock(durationOf(call))],
  ['rate', 'Frames/s', (call) => `${Math.round(call.up.fps)} ↑ ${Math.round(call.down.fps)} ↓`],
  ['queue', 'Queue ms', (call) => `${count(call.up.queuedMs)} ↑ ${count(call.down.queuedMs)} ↓`],
  ['drops', 'Drops', (call) => count(drops(call))],
  ['model', 'Model', (call) => MODEL[call.model.state] ?? call.model.state],
  ['last', 'Answer', (call) => latency(call.model.responseLatencyMs.last)],
  ['p95', 'Answer p95', (call) => latency(call.model.responseLatencyMs.p95)],
  ['fallback', 'Fallback', (call) => fallbackWords(call.fallback)],
];

const newest = (a, b) => (a.startedAt < b.startedAt ? 1 : a.startedAt > b.startedAt ? -1 : 0);
const most = (number) => (a, b) => (number(b) ?? -1) - (number(a) ?? -1) || newest(a, b);
const SORTS = {
  newest,
  longest: (a, b) => newest(b, a),
  trouble: most((call) => (call.model.state === 'lost' ? 2 : 0) + (call.fallback.state === 'idle' ? 0 : 1)),
  slowest: most((call) => call.model.responseLatencyMs.p95 ?? call.model.responseLatencyMs.last),
  drops: most(drops),
};

/**
 * By call id.
 * @type {Map<string, {element: HTMLElement, show: (call: Call) => void, call: Call, isSeen: boolean}>}
 */
const rows = new Map();
/** Of calls that are over, until they go. Their ids may be those of new calls. */
const leaving = new Set();
/** By element. */
const rowOf = new WeakMap();
/** Rows to draw with the next frame. */
const stale = new Set();
let frame = 0;
let sortedAt = 0;
let body, filter, sort, summary, empty;

const sight = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const row = rowOf.get(target);
      row.isSeen = isIntersecting;
      if (isIntersecting) redraw(row);
    }
  },
  { rootMargin: '200px' },
);

/** Draws a row with the next frame, if it is on the screen then. */
function redraw(row) {
  stale.add(row);
  frame ||= requestAnimationFrame(flush);
}

function flush() {
  frame = 0;
  for (const row of stale) if (row.isSeen) draw(row);
  stale.clear();
}

function draw(row) {
  const { call, element } = row;
  setData(element, 'state', call.state);
  setData(element, 'model', call.model.state);
  setData(element, 'fallback', call.fallback.state);
  setData(element, 'drops', drops(call) > 0 ? 'some' : 'none');
  row.show(call);
}

function make(call) {
  const name = `Hang up the call ${call.callId}`;
  const onclick = () => hangUpCall(row.call);
  const hangUp = h('button', { type: 'button', class: 'quiet danger', 'aria-label': name, onclick }, 'Hang up');
  const made = makeRow(COLUMNS, call, h('td', { class: 'c-act', role: 'cell' }, hangUp));
  const row = { element: made.element, show: made.draw, call, isSeen: false };
  rowOf.set(row.element, row);
  rows.set(call.callId, row);
  draw(row);
  sift(row, wanted());
  body.prepend(row.element);
  sight.observe(row.element);
}

const allRows = () => [...rows.values(), ...leaving];

/** The call of a row is over: it stays for a while. */
function leave(row, call) {
  rows.delete(call.callId);
  leaving.add(row);
  row.call = call;
  draw(row);
  setTimeout(remove, LINGER_MS, row);
  showCount();
}

/** The row of a call that ended while nobody told us. */
function discard(row) {
  rows.delete(row.call.callId);
  remove(row);
}

function remove(row) {
  leaving.delete(row);
  sight.unobserve(row.element);
  stale.delete(row);
  row.element.remove();
  showCount();
}

/** What the filter asks for. */
const wanted = () => filter.value.trim().toLowerCase();

/** Hides a row that the filter does not mean. */
function sift(row, words) {
  row.element.hidden = words !== '' && !wordsOf(row.call).includes(words);
}

/** Brings the rows into order, and hides what the filter does not mean. Moves only what is out of place. */
function arrange() {
  sortedAt = performance.now();
  const words = wanted();
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const sorted = allRows().sort((a, b) => SORTS[sort.value](a.call, b.call));
  let next = body.firstElementChild;
  for (const row of sorted) {
    sift(row, words);
    if (row.element === next) next = next.nextElementSibling;
    else body.insertBefore(row.element, next);
  }
  // What is moved loses it.
  if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  showCount();
}

const wordsOf = (call) =>
  searchText(call, call.direction, STATES[call.state], MODEL[call.model.state], call.fallback.state);

/** Says how many there are, and how many of them are shown. */
function showCount() {
  const isHidden = (row) => row.element.hidden;
  const hidden = wanted() ? [...rows.values()].filter(isHidden).length : 0;
  const shown = hidden > 0 ? `${count(rows.size - hidden)} of ${many(rows.size, 'call')}` : many(rows.size, 'call');
  setText(summary, leaving.size > 0 ? `${shown}, ${count(leaving.size)} just ended` : shown);
  empty.hidden = allRows().some((row) => !isHidden(row));
  setText(
    empty,
    rows.size > 0 ? 'No call matches the filter.' : 'Nobody is on the line. A call appears here by itself.',
  );
}

/** Asks, and hangs up. */
export async function hangUpCall(call) {
  const who = parties(call) ?? call.callId;
  const sure = await confirm('Hang up this call?', `${who}: the caller is cut off at once.`, 'Hang up');
  if (!sure) return;
  try {
    await api(callPath(call.callId, '/hangup'), { method: 'POST' });
    toast(`Hanging up ${who}.`);
  } catch (error) {
    toast(`Not hung up: ${error.message}`, true);
  }
}

/** Wires up the list. */
export function setUpCalls() {
  const view = $('#calls');
  [body, filter, sort] = [$('tbody', view), $('[type=search]', view), $('select', view)];
  [summary, empty] = [$('.summary', view), $('.empty', view)];
  const last = h('span', { class: 'unseen' }, 'Hang up');
  showHead(view, COLUMNS, h('th', { class: 'c-act', scope: 'col', role: 'columnheader' }, last));
  filter.addEventListener('input', arrange);
  sort.addEventListener('change', arrange);
  const failed = (error) => toast(`Numbers cannot be shown: ${error.message}`, true);
  numbersButton($('.reveal', view), () => '/admin/calls', failed);
  watchNumbers(() => {
    allRows().forEach(redraw);
    arrange();
  });

  on('snapshot', () => {
    for (const row of [...rows.values()]) if (!board.calls.has(row.call.callId)) discard(row);
    for (const call of board.calls.values()) update(call);
    arrange();
  });
  on('started', (call) => {
    update(call);
    // In another order it has its place with the next look that moves nothing away under the pointer.
    if (sort.value === 'newest') arrange();
    else showCount();
    const who = parties(call);
    tell('started', who ? `A call started: ${who}.` : 'A call started.');
  });
  on('changed', (call) => {
    update(call);
    const words = wanted();
    if (words === '') return;
    sift(rows.get(call.callId), words);
    showCount();
  });
  on('ended', (call) => {
    tell('ended', `A call ended: ${ending(call.endReason).sentence}.`);
    const row = rows.get(call.callId);
    if (row) leave(row, call);
  });
  on('counters', () => {
    // All that are seen, not only those that moved: durations do.
    for (const row of allRows()) if (row.isSeen) redraw(row);
    // Not while somebody points at a row, or it moves away.
    const isIdle = !body.matches(':hover, :focus-within');
    if (sort.value !== 'newest' && isIdle && performance.now() - sortedAt > SORT_EVERY_MS) arrange();
  });
}

function update(call) {
  const row = rows.get(call.callId);
  if (!row) {
    make(call);
    return;
  }
  row.call = call;
  redraw(row);
}

/** Has it read out to whoever looks at the calls. */
function tell(kind, sentence) {
  if (document.body.dataset.view === 'calls') announce(sentence, kind);
}
