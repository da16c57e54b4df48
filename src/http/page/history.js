// Calls that are over, newest first.

import { api } from './api.js';
import { $, setData, setText, toast } from './dom.js';
import { on } from './live.js';
import { numbersButton, parties, watchNumbers } from './numbers.js';
import { drops, makeRow, searchText, showHead, way } from './rows.js';
import { count, ending, latency, length, many, time } from './words.js';

const PAGE = 50;

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
const known = new Set();
let body, filter, more, summary, empty;
let isOpen = false;
let isLoading = false;
let atEnd = false;

function make(call) {
  const { element, draw } = makeRow(COLUMNS, call);
  if (ending(call.endReason).fault) setData(element, 'fault', 'yes');
  draw(call);
  known.add(call.callId);
  return { call, element, draw: () => draw(call) };
}

function sift() {
  const words = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const { call, element } of rows) {
    const text = searchText(call, call.endReason, ending(call.endReason).short);
    element.hidden = words !== '' && !text.includes(words);
    shown += element.hidden ? 0 : 1;
  }
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
  try {
    const { calls } = await api(`/admin/calls?state=ended&limit=${PAGE}&offset=${rows.length}`);
    const fresh = calls.filter((call) => !known.has(call.callId)).map(make);
    rows.push(...fresh);
    body.append(...fresh.map((row) => row.element));
    atEnd = calls.length < PAGE;
  } catch (error) {
    toast(`The history cannot be shown: ${error.message}`, true);
  } finally {
    isLoading = false;
    more.disabled = false;
    sift();
  }
}

/** A filter looks at all that is remembered. */
async function loadAll() {
  let before = -1;
  while (filter.value.trim() && !atEnd && !isLoading && rows.length > before) {
    before = rows.length;
    await loadMore();
  }
}

function reset() {
  rows = [];
  known.clear();
  body.replaceChildren();
  atEnd = false;
}

/** Shows the history as it is now. */
export function openHistory() {
  isOpen = true;
  reset();
  loadMore().then(loadAll);
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
  on('ended', (call) => {
    if (isOpen && prepend(call)) sift();
  });
  on('snapshot', catchUp);
}

function prepend(call) {
  if (known.has(call.callId)) return false;
  const row = make(call);
  rows.unshift(row);
  body.prepend(row.element);
  return true;
}

/** Takes in what ended while nobody told us. */
async function catchUp() {
  if (!isOpen || isLoading) return;
  const { calls } = await api(`/admin/calls?state=ended&limit=${PAGE}`).catch(() => ({ calls: [] }));
  calls.reverse().forEach(prepend);
  sift();
}
