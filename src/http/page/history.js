// Calls that are over, newest first.

import { api } from './api.js';
import { $, setData, setText, toast } from './dom.js';
import { on } from './live.js';
import { numbersButton, parties, watchNumbers } from './numbers.js';
import { drops, makeRow, searchText, showHead, way } from './rows.js';
import { count, ending, latency, length, many, time } from './words.js';

const PAGE = 50;
/** What a view that stays open for days keeps; the service remembers no more (`calls.history_max`). */
const MOST = 1_000;

const COLUMNS = [
  ['when', 'Ended', (call) => time(new Date(Date.parse(call.startedAt) + call.durationMs))],
  ['who', 'From → to', (call) => parties(call) ?? call.callId],
  ['reason', 'Why it ended', (call) => ending(call.endReason).short],
  ['length', 'Length', (call) => length(call.durationMs)],
  ['way', 'Route · link', (call) => way(call) || '–'],
  ['answers', 'Answers', (call) => count(call.model.responses)],
  ['p95', 'Answer p95', (call) => latency(call.model.responseLatencyMs.p95)],
  ['drops', 'Drops', (call) => count(drops(call))],
  ['outages', 'Outages', (call) => count(call.fallback.entered)],
];

/** @type {{call: object, element: HTMLElement, draw: () => void}[]} newest first */
let rows = [];
/** By `key`: an id may come back. */
const known = new Set();
const key = (call) => `${call.callId} ${call.startedAt}`;
let body, filter, more, summary, empty;
let isOpen = false;
let isLoading = false;
let atEnd = false;
/** Counts how often the view was filled afresh: what was asked before is of no use after. */
let filling = 0;

function make(call) {
  const { element, draw } = makeRow(COLUMNS, call);
  if (ending(call.endReason).fault) setData(element, 'fault', 'yes');
  draw(call);
  known.add(key(call));
  return { call, element, draw: () => draw(call) };
}

const wanted = () => filter.value.trim().toLowerCase();

function isMeant({ call }, words) {
  return words === '' || searchText(call, call.endReason, ending(call.endReason).short).includes(words);
}

function sift() {
  const words = wanted();
  for (const row of rows) row.element.hidden = !isMeant(row, words);
  showCount();
}

function showCount() {
  const words = wanted();
  const shown = words ? rows.filter(({ element }) => !element.hidden).length : rows.length;
  setText(
    summary,
    words ? `${count(shown)} of ${many(rows.length, 'call')}` : `${many(rows.length, 'call')}${atEnd ? '' : ' so far'}`,
  );
  empty.hidden = shown > 0 || isLoading;
  setText(
    empty,
    rows.length > 0 ? 'No call matches the filter.' : 'No call has ended lately. Endings appear here by themselves.',
  );
  more.hidden = atEnd;
}

async function loadMore() {
  if (isLoading || atEnd) return;
  isLoading = true;
  more.disabled = true;
  const own = filling;
  try {
    const { calls } = await api(`/admin/calls?state=ended&limit=${PAGE}&offset=${rows.length}`);
    if (own !== filling) return;
    const fresh = calls.filter((call) => !known.has(key(call))).map(make);
    rows.push(...fresh);
    body.append(...fresh.map((row) => row.element));
    atEnd = calls.length < PAGE;
  } catch (error) {
    if (own === filling) toast(`The history cannot be shown: ${error.message}`, true);
  } finally {
    if (own === filling) {
      isLoading = false;
      more.disabled = false;
      sift();
    }
  }
}

/** A filter looks at all that is remembered. */
async function loadAll() {
  let before = -1;
  while (wanted() && !atEnd && !isLoading && rows.length > before) {
    before = rows.length;
    await loadMore();
  }
}

function reset() {
  filling += 1;
  isLoading = false;
  rows = [];
  known.clear();
  body.replaceChildren();
  atEnd = false;
}

function fill() {
  reset();
  loadMore().then(loadAll);
}

/** Shows the history as it is now. */
export function openHistory() {
  isOpen = true;
  fill();
  return {
    close: () => {
      isOpen = false;
    },
  };
}

/** Wires up the history. */
export function setUpHistory() {
  const view = $('#history');
  [body, filter, more] = [$('tbody', view), $('[type=search]', view), $('.more', view)];
  [summary, empty] = [$('.summary', view), $('.empty', view)];
  showHead(view, COLUMNS);
  filter.addEventListener('input', () => {
    sift();
    loadAll();
  });
  more.addEventListener('click', loadMore);
  numbersButton(
    $('.reveal', view),
    () => `/admin/calls?state=ended&limit=${Math.max(PAGE, rows.length)}`,
    (error) => toast(`Numbers cannot be shown: ${error.message}`, true),
  );
  watchNumbers(() => {
    rows.forEach((row) => row.draw());
    sift();
  });
  on('ended', (call) => isOpen && prepend(call));
  // What ended while nobody told us is not known: all is asked for again, unless the view is being filled.
  on('snapshot', () => isOpen && !isLoading && fill());
}

function prepend(call) {
  if (known.has(key(call))) return;
  const row = make(call);
  row.element.hidden = !isMeant(row, wanted());
  rows.unshift(row);
  body.prepend(row.element);
  for (const old of rows.splice(MOST)) {
    known.delete(key(old.call));
    old.element.remove();
  }
  showCount();
}
