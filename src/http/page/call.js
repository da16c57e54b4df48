// One call: why it ended, what the caller heard, where the time went.

import { api, callPath } from './api.js';
import { $, h, setData, setText, showList, toast } from './dom.js';
import { hangUpCall } from './calls.js';
import { listener } from './listen.js';
import { on } from './live.js';
import { numbersButton, parties, watchNumbers } from './numbers.js';
import { histogramRows, niceAbove, plot } from './plots.js';
import { summarize } from './summary.js';
import { answers, bargeIns, conversation, outages, setupTime } from './talk.js';
import { KINDS, MODEL, PLACES, STATES, clock, count, dateTime, latency, length, many, moment } from './words.js';

const PAUSE_MS = 1_000;
const FLOOR_DB = -60;
const SPEAKERS = {
  caller: 'Caller', model: 'Model', prompt: 'Prompt', keys: 'Keys', cut: 'Barge-in', note: 'Event',
};

/** Shows the call that is known as `id`. Gives what ends that. */
export function openCall(view, id) {
  const page = build(id);
  view.replaceChildren(page.element);
  let call = null;
  let timer = null;
  let isClosed = false;
  let fetchedAt = -PAUSE_MS;

  async function fetchCall() {
    timer = null;
    if (document.hidden || isClosed) return;
    fetchedAt = performance.now();
    try {
      call = await api(callPath(id));
      if (!isClosed) page.show(call);
    } catch (error) {
      if (!isClosed) page.fail(error);
    }
  }

  /** Fetches again, at most once a second. */
  function refresh() {
    if (timer !== null || call?.state === 'ended') return;
    timer = setTimeout(fetchCall, Math.max(0, fetchedAt + PAUSE_MS - performance.now()));
  }

  const isOurs = (other) => [id, call?.callId].includes(other.callId);
  const watches = [
    on('counters', refresh),
    on('snapshot', refresh),
    on('changed', (other) => isOurs(other) && refresh()),
    on('ended', (other) => isOurs(other) && refresh()),
    watchNumbers(() => call && page.show(call)),
    numbersButton(page.reveal, () => callPath(id), (error) => toast(`Numbers cannot be shown: ${error.message}`, true)),
  ];
  document.addEventListener('visibilitychange', refresh);
  fetchCall();

  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
      page.ear.stop();
      document.removeEventListener('visibilitychange', refresh);
      for (const unwatch of watches) unwatch();
    },
  };
}

function build(id) {
  const heading = h('h1', { tabindex: -1 }, 'Call');
  const state = h('span', { class: 'state' });
  const reveal = h('button', { type: 'button' });
  const hangUp = h('button', { type: 'button', class: 'danger' }, 'Hang up');
  const ear = listener(id);
  const failure = h('p', { class: 'message', hidden: true });
  const sections = [happenedSection(), talkSection(), timeSection(), plotSection(), soundSection(), idsSection(), timelineSection()];
  const body = h('div', { class: 'call-body', hidden: true }, ...sections.map((section) => section.element));
  const element = h('div', { class: 'call' },
    h('div', { class: 'head' }, h('div', { class: 'title' }, h('a', { href: '#/', class: 'back' }, '← Calls'), heading, state),
      h('div', { class: 'row' }, ear.element, reveal, hangUp)),
    failure, body);
  let shown = null;
  hangUp.addEventListener('click', () => hangUpCall(shown));
  heading.textContent = id;

  return {
    element,
    reveal,
    ear,
    show(call) {
      shown = call;
      const isOver = call.state === 'ended';
      failure.hidden = true;
      body.hidden = false;
      setText(heading, parties(call) ?? call.callId);
      setText(state, STATES[call.state] ?? call.state);
      setData(element, 'state', call.state);
      setData(element, 'model', call.model.state);
      hangUp.hidden = isOver;
      ear.element.hidden = isOver;
      ear.allow(!['announced', 'ended'].includes(call.state));
      if (isOver) ear.stop();
      for (const section of sections) section.show(call);
    },
    fail(error) {
      failure.hidden = false;
      setData(failure, 'kind', 'error');
      setText(failure, error.status === 404
        ? 'No such call is known here. Ended calls are kept for a while only (calls.history).'
        : `This page cannot be brought up to date: ${error.message}`);
    },
  };
}

const section = (name, heading, ...children) =>
  h('section', { class: `panel ${name}`, 'aria-labelledby': `h-${name}` }, h('h2', { id: `h-${name}` }, heading), ...children);

function showFacts(list, call) {
  const { up, down, model, fallback } = call;
  const isOver = call.state === 'ended';
  const rate = (fps) => (isOver ? '' : `, ${Math.round(fps)}/s`);
  showList(list, [
    ['Began', dateTime(call.startedAt)],
    [isOver ? 'Length' : 'Duration', clock(call.durationMs)],
    ['Direction', call.direction ?? '–'],
    ['Route', call.route ?? '–'],
    ['Link', call.link ?? 'no media yet'],
    ['Model', isOver ? '–' : MODEL[model.state] ?? model.state],
    ['Answers', count(model.responses)],
    ['Interrupted', count(model.interruptions)],
    ['From the caller', `${count(up.frames)} frames${rate(up.fps)}`],
    ['To the caller', `${count(down.frames)} frames${rate(down.fps)}`],
    ['Drops ↑ ↓', `${count(up.dropped)} · ${count(down.dropped)}`],
    ['Underruns', count(down.underruns)],
    ['Reconnects', count(model.reconnects)],
    ['Outages', `${count(fallback.entered)}${fallback.prompts ? ` · ${many(fallback.prompts, 'prompt')}` : ''}`],
  ], ([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
}

function happenedSection() {
  const sentence = h('p', { class: 'verdict' });
  const fault = h('p', { class: 'fault' });
  const next = h('p', { class: 'next' });
  const notes = h('ul', { class: 'notes' });
  const facts = h('dl', { class: 'facts' });
  return {
    element: section('happened', 'What happened', sentence, fault, next, notes, facts),
    show(call) {
      const summary = summarize(call);
      setText(sentence, summary.sentence);
      setText(fault, summary.fault ?? '');
      fault.hidden = !summary.fault;
      setText(next, summary.next ? `Look next: ${summary.next}` : '');
      next.hidden = !summary.next;
      showList(notes, summary.notes, (note) => h('li', { 'data-bad': note.bad ? 'yes' : null }, note.text));
      showFacts(facts, call);
    },
  };
}

function talkSection() {
  const list = h('ol', { class: 'talk', tabindex: 0, 'aria-labelledby': 'h-heard' });
  const empty = h('p', { class: 'empty' });
  return {
    element: section('heard', 'What the caller heard and said', list, empty),
    show(call) {
      const turns = conversation(call.timeline);
      const isLive = call.state !== 'ended';
      showList(list, turns.map((turn) => ({ ...turn, isLive: isLive && turn.isOpen === true })), (turn) => {
        const words = turn.text ?? (turn.isLive ? 'is speaking …' : 'spoke; nobody wrote down what');
        return h('li', { 'data-who': turn.who, 'data-bad': turn.bad ? 'yes' : null, class: turn.text === null ? 'wordless' : null },
          h('span', { class: 'at' }, moment(turn.atMs)), h('span', { class: 'speaker' }, SPEAKERS[turn.who]),
          h('span', { class: 'words' }, words, turn.aside ? h('small', {}, turn.aside) : null));
      });
      empty.hidden = turns.length > 0;
      const isEcho = call.model.state === 'off' && isLive && call.state === 'active';
      setText(empty, isEcho ? 'This route is an echo: the caller hears his own voice.'
        : `Nothing was said ${isLive ? 'yet' : 'that was written down'}.`);
    },
  };
}

function timeSection() {
  const sentences = h('ul', { class: 'notes' });
  const shares = h('tbody');
  const hists = h('div', { class: 'hists' });
  const table = h('table', { class: 'shares' },
    h('thead', {}, h('tr', {}, ...['Step', 'Median', '95 %', '99 %', 'Median to scale'].map((name) => h('th', { scope: 'col' }, name)))),
    shares);
  return {
    element: section('time', 'Where the time went', sentences, table, hists),
    show(call) {
      const { bridge: { upMs, downMs }, model: { responseLatencyMs: model }, histograms } = call;
      showList(sentences, timeSentences(call), (text) => h('li', {}, text));
      const steps = [
        ['ours', 'Caller → model: Trunkline', upMs], ['model', 'The model’s answer', model],
        ['ours', 'Model → caller: Trunkline', downMs],
      ];
      table.hidden = steps.every(([, , { p50 }]) => p50 === null);
      const scale = Math.max(...steps.map(([, , { p50 }]) => p50 ?? 0), 0.001);
      showList(shares, steps.map(([who, name, { p50, p95, p99 }]) => [who, name, latency(p50), latency(p95), latency(p99), (p50 ?? 0) / scale]),
        ([who, name, p50, p95, p99, share]) => h('tr', { 'data-who': who }, h('th', { scope: 'row' }, name),
          ...[p50, p95, p99].map((text) => h('td', {}, text)), h('td', { class: 'gauge-cell' }, gauge(share))));
      showList(hists, [
        ['The model’s answers', histograms.responseLatencyMs], ['Trunkline, caller → model', histograms.upMs],
        ['Trunkline, model → caller', histograms.downMs],
      ], ([name, buckets]) => histogram(name, buckets));
    },
  };
}

function timeSentences(call) {
  const { link, bridge: { upMs, downMs }, model, histograms } = call;
  const sentences = [];
  const setupMs = setupTime(call);
  const { p50, p95 } = model.responseLatencyMs;
  const number = histograms.responseLatencyMs.reduce((sum, [, count]) => sum + count, 0);
  if (setupMs !== null) {
    sentences.push(`The model’s session was ready ${latency(setupMs)} after the caller’s audio was there.`);
  }
  if (p50 !== null) {
    const added = upMs.p50 === null || downMs.p50 === null ? null : upMs.p50 + downMs.p50;
    sentences.push(`The model took ${latency(p50)} (median of ${many(number, 'answer')}) from the caller’s last word to its `
      + `first sound, 95 % came within ${latency(p95)}${added === null ? '.' : `; Trunkline added ${latency(added)}.`}`);
  } else if (link !== null) {
    sentences.push('No answer of the model was measured.');
  }
  return sentences;
}

/** A bar whose length is a share of 1. For the eye alone: the number stands beside it. */
function gauge(share) {
  const element = h('span', { class: 'gauge', 'aria-hidden': 'true' });
  element.style.width = `${Math.max(share > 0 ? 0.5 : 0, share * 100)}%`;
  return element;
}

function histogram(name, buckets) {
  const rows = histogramRows(buckets);
  if (rows.length === 0) return h('div', { hidden: true });
  return h('table', { class: 'hist' }, h('caption', {}, name),
    h('thead', { class: 'unseen' }, h('tr', {}, h('th', { scope: 'col' }, 'Took'), h('th', { scope: 'col' }, 'How often'))),
    h('tbody', {}, ...rows.map(({ label, count: number, share }) =>
      h('tr', {}, h('th', { scope: 'row' }, label), h('td', {}, gauge(share), h('span', { class: 'n' }, count(number)))))));
}

function plotSection() {
  const plots = Object.fromEntries(['answers', 'up', 'down', 'upQueue', 'downQueue'].map((name) => [name, plot(`plot-${name}`)]));
  const tableBody = h('tbody');
  const details = h('details', {}, h('summary', {}, 'The same as a table'),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'The plots as a table' }, h('table', {},
      h('thead', {}, h('tr', {}, ...['At', 'Answer', 'Caller dBFS', 'To the caller dBFS', 'Queue ↑ ms', 'Queue ↓ ms'].map((name) => h('th', { scope: 'col' }, name)))),
      tableBody)));
  const legend = h('p', { class: 'legend' }, h('span', { class: 'key away' }), 'the model was away', h('span', { class: 'key cut' }), 'the caller cut in');
  let last = null;
  details.addEventListener('toggle', () => last && showTable(last));

  function showTable(call) {
    if (!details.open) return;
    showList(tableBody, tableRows(call), (cells) =>
      h('tr', {}, ...cells.map((text, index) => (index === 0 ? h('th', { scope: 'row' }, text) : h('td', {}, text)))));
  }

  return {
    element: section('plots', 'The call over time', ...Object.values(plots).map(({ figure }) => figure), legend, details),
    show(call) {
      last = call;
      const time = { lengthMs: call.durationMs, outages: outages(call.timeline, call.durationMs), cuts: bargeIns(call.timeline) };
      legend.hidden = time.outages.length === 0 && time.cuts.length === 0;
      for (const [name, strip] of Object.entries(strips(call))) plots[name].draw(strip, time);
      showTable(call);
    },
  };
}

const seriesPoints = ({ stepMs, fromMs = 0 }, values = []) => values.map((value, index) => [fromMs + index * stepMs, value]);
const db = (value) => (value <= -96 ? 'silence' : `${value} dB`);

/** What each plot shows. */
function strips({ timeline, series, state }) {
  const none = (what) => (state === 'ended' ? `no ${what}` : `no ${what} yet`);
  const waits = answers(timeline);
  const longest = Math.max(...waits.map(([, ms]) => ms), 0);
  const level = (title, values) => {
    const peak = Math.max(...(values ?? []), -96);
    const desc = values?.length ? `loudest ${db(peak)}FS`.replace('silenceFS', 'silence') : none('audio');
    return { title, desc, min: FLOOR_DB, max: 0, words: db, shape: 'area', points: seriesPoints(series, values), stepMs: series.stepMs };
  };
  const queue = (title, values) => {
    const peak = Math.max(...(values ?? []), 0);
    const desc = values?.length ? `at most ${latency(peak)}` : none('audio');
    const words = (value) => (value < 1_000 ? `${Math.round(value)} ms` : `${Number((value / 1_000).toFixed(1))} s`);
    return { title, desc, min: 0, max: niceAbove(Math.max(peak, 100)), words, shape: 'area', points: seriesPoints(series, values), stepMs: series.stepMs };
  };
  return {
    answers: {
      title: 'How long each answer took', desc: waits.length > 0 ? `${many(waits.length, 'answer')}, the slowest ${latency(longest)}` : none('answer'),
      min: 0, max: niceAbove(Math.max(longest, 100)), words: (value) => latency(value).replace('.00', ''), shape: 'stems', points: waits,
    },
    up: level('Level of the caller', series.upDb),
    down: level('Level of what the caller was sent', series.downDb),
    upQueue: queue('Caller’s audio that waited', series.upQueuedMs),
    downQueue: queue('Model’s audio that waits to be played', series.downQueuedMs),
  };
}

const TABLE_ROWS = 60;

/** The plots as text: each answer, and the line at so many moments that a table can be read. */
function tableRows({ timeline, series }) {
  const { upDb = [], downDb = [], upQueuedMs = [], downQueuedMs = [] } = series;
  const step = Math.max(1, Math.ceil(upDb.length / TABLE_ROWS));
  const points = seriesPoints(series, upDb).filter((_, index) => index % step === 0).map(([atMs], index) => {
    const worst = (values) => Math.max(...values.slice(index * step, (index + 1) * step));
    return [atMs, '', db(worst(upDb)), db(worst(downDb)), count(worst(upQueuedMs)), count(worst(downQueuedMs))];
  });
  const rows = [...points, ...answers(timeline).map(([atMs, ms]) => [atMs, latency(ms), '', '', '', ''])];
  return rows.sort((a, b) => a[0] - b[0]).map(([atMs, ...cells]) => [moment(atMs), ...cells]);
}

/** What was lost on the way, and the packets of a call by SIP. */
function soundSection() {
  const list = h('ul', { class: 'notes' });
  const packets = h('dl', { class: 'facts' });
  return {
    element: section('sound', 'What was lost', list, packets),
    show({ drops, rtp, down }) {
      const lost = ['up', 'down'].flatMap((way) => Object.entries(drops[way]).filter(([, frames]) => frames > 0)
        .map(([place, frames]) => `${length(frames * 20)} of ${way === 'up' ? 'the caller’s' : 'the model’s'} audio `
          + `(${many(frames, 'frame')}): ${PLACES[place] ?? place}.`));
      if (down.underruns > 0) {
        lost.push(`${many(down.underruns, 'time')} the caller heard ${down.underruns === 1 ? 'a gap' : 'gaps'} of 20 ms: the model’s audio came too slowly.`);
      }
      showList(list, lost.length > 0 ? lost : ['Nothing was dropped in Trunkline.'], (text) => h('li', {}, text));
      packets.hidden = rtp === null;
      if (rtp === null) return;
      showList(packets, [
        ['Packets', count(rtp.packets)],
        ['Lost', `${count(rtp.lost)} (${rtp.lossPercent} %)`],
        ['Late', count(rtp.late)],
        ['Made up', length(rtp.concealedMs)],
        ['Jitter', latency(rtp.jitterMs)],
        ['Jitter buffer', latency(rtp.depthMs)],
        ['Round trip', latency(rtp.roundTripMs)],
        ['MOS (1 to 4.5)', rtp.mos === null ? '–' : `${rtp.mos.toFixed(2)}, ${rtp.mos >= 4 ? 'good' : rtp.mos >= 3.6 ? 'fair' : 'poor'}`],
      ], ([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
    },
  };
}

function timelineSection() {
  const list = h('ol', { class: 'timeline', tabindex: 0, 'aria-labelledby': 'h-events' });
  const filters = h('div', { class: 'chips', role: 'group', 'aria-label': 'Kinds to show' });
  const left = h('p', { class: 'note' });
  const off = new Set();
  let last = null;

  const draw = ({ timeline, timelineDropped }) => {
    const sums = new Map();
    for (const { kind } of timeline) sums.set(kind, (sums.get(kind) ?? 0) + 1);
    showList(filters, [...sums.keys()], (kind) => h('label', { class: 'chip' }, h('input', {
      type: 'checkbox',
      checked: !off.has(kind),
      onchange: ({ target }) => {
        if (target.checked) off.delete(kind);
        else off.add(kind);
        draw(last);
      },
    }), h('span', {}, KINDS[kind] ?? kind), h('span', { class: 'n' })));
    [...sums.values()].forEach((sum, index) => setText($('.n', filters.children[index]), count(sum)));
    showList(list, timeline.filter(({ kind }) => !off.has(kind)), (entry) =>
      h('li', { 'data-kind': entry.kind, 'data-bad': isBad(entry) ? 'yes' : null }, h('span', { class: 'at' }, moment(entry.atMs)),
        h('span', { class: 'kind' }, KINDS[entry.kind] ?? entry.kind),
        h('span', { class: 'words' }, entry.text, entry.ms === undefined ? null : h('small', {}, latency(entry.ms)))));
    setText(left, timelineDropped > 0 ? `${many(timelineDropped, 'later entry', 'later entries')} did not fit in.` : '');
  };
  return {
    element: section('events', 'Timeline', filters, list, left),
    show(call) {
      last = call;
      draw(call);
    },
  };
}

const isBad = ({ kind, text }) =>
  (kind === 'fallback' && !text.startsWith('recovered')) || /\b(lost|failed|refused)\b/.test(['session', 'renewal', 'link', 'transfer', 'tool'].includes(kind) ? text : '');

function idsSection() {
  const list = h('dl', { class: 'ids' });
  return {
    element: section('ids', 'Ids', list),
    show(call) {
      const ids = [
        ['Call', call.callId], ['Voice Connector’s transaction', call.transactionId],
        ['SIP media application’s transaction', call.smaTransactionId], ['Model’s session', call.model.sessionId],
        ['Trace', call.traceId ?? null],
      ];
      showList(list, ids.filter(([, id]) => id !== null), ([name, id]) =>
        h('div', {}, h('dt', {}, name), h('dd', {}, h('code', {}, id),
          h('button', { type: 'button', class: 'quiet', 'aria-label': `Copy the id: ${name}`, onclick: () => copy(id) }, 'Copy'))));
    },
  };
}

/** The clipboard is there in secure contexts alone (https, localhost): elsewhere the id can be selected by hand. */
async function copy(id) {
  try {
    await navigator.clipboard.writeText(id);
    toast('Copied.');
  } catch {
    toast('The browser does not let this page copy: select the id by hand.', true);
  }
}

