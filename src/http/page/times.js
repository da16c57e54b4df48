// Where a call's time went: in sentences, as histograms, and over time.

import { h, section, showList } from './dom.js';
import { histogramRows, niceAbove, plot } from './plots.js';
import { answers, awayFor, bargeIns, outages, setupTime } from './talk.js';
import { clock, count, latency, length, many, moment } from './words.js';

const FLOOR_DB = -60;

export function timeSection() {
  const sentences = h('ul', { class: 'notes' });
  const shares = h('tbody');
  const hists = h('div', { class: 'hists' });
  const table = h(
    'table',
    { class: 'shares' },
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        ...['Step', 'Median', '95 %', '99 %', 'Median to scale'].map((name) => h('th', { scope: 'col' }, name)),
      ),
    ),
    shares,
  );
  return {
    element: section('time', 'Where the time went', sentences, table, hists),
    show(call) {
      const {
        bridge: { upMs, downMs },
        model: { responseLatencyMs: model },
        histograms,
      } = call;
      showList(sentences, timeSentences(call), (text) => h('li', {}, text));
      const steps = [
        ['ours', 'Caller → model: Trunkline', upMs],
        ['model', 'The model’s answer', model],
        ['ours', 'Model → caller: Trunkline', downMs],
      ];
      table.hidden = steps.every(([, , { p50 }]) => p50 === null);
      const scale = Math.max(...steps.map(([, , { p50 }]) => p50 ?? 0), 0.001);
      showList(
        shares,
        steps.map(([who, name, { p50, p95, p99 }]) => [
          who,
          name,
          latency(p50),
          latency(p95),
          latency(p99),
          (p50 ?? 0) / scale,
        ]),
        ([who, name, p50, p95, p99, share]) =>
          h(
            'tr',
            { 'data-who': who },
            h('th', { scope: 'row' }, name),
            ...[p50, p95, p99].map((text) => h('td', {}, text)),
            h('td', { class: 'gauge-cell' }, gauge(share)),
          ),
      );
      showList(
        hists,
        [
          ['The model’s answers', histograms.responseLatencyMs],
          ['Trunkline, caller → model', histograms.upMs],
          ['Trunkline, model → caller', histograms.downMs],
        ],
        ([name, buckets]) => histogram(name, buckets),
      );
    },
  };
}

function timeSentences(call) {
  const {
    link,
    bridge: { upMs, downMs },
    model,
    histograms,
  } = call;
  const sentences = [];
  const setupMs = setupTime(call);
  const away = awayFor(outages(call));
  const { p50, p95 } = model.responseLatencyMs;
  const number = histograms.responseLatencyMs.reduce((sum, [, count]) => sum + count, 0);
  if (setupMs !== null) {
    sentences.push(`The model’s session was ready ${latency(setupMs)} after the caller’s audio was there.`);
  }
  if (p50 !== null) {
    const added = upMs.p50 === null || downMs.p50 === null ? null : upMs.p50 + downMs.p50;
    sentences.push(
      `The model took ${latency(p50)} (median of ${many(number, 'answer')}) from the caller’s last word to its ` +
        `first sound, 95 % came within ${latency(p95)}${added === null ? '.' : `; Trunkline added ${latency(added)}.`}`,
    );
  } else if (link !== null) {
    sentences.push('No answer of the model was measured.');
  }
  if (away > 0) sentences.push(`For ${length(away)} of ${length(call.durationMs)} there was no model.`);
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
  return h(
    'table',
    { class: 'hist' },
    h('caption', {}, name),
    h(
      'thead',
      { class: 'unseen' },
      h('tr', {}, h('th', { scope: 'col' }, 'Took'), h('th', { scope: 'col' }, 'How often')),
    ),
    h(
      'tbody',
      {},
      ...rows.map(({ label, count: number, share }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, label),
          h('td', {}, gauge(share), h('span', { class: 'n' }, count(number))),
        ),
      ),
    ),
  );
}

export function plotSection() {
  const plots = Object.fromEntries(
    ['answers', 'up', 'down', 'upQueue', 'downQueue'].map((name) => [name, plot(`plot-${name}`)]),
  );
  const tableBody = h('tbody');
  const details = h(
    'details',
    {},
    h('summary', {}, 'The same as a table'),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'The plots as a table' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ...['At', 'Answer', 'Caller dBFS', 'To the caller dBFS', 'Queue ↑ ms', 'Queue ↓ ms'].map((name) =>
              h('th', { scope: 'col' }, name),
            ),
          ),
        ),
        tableBody,
      ),
    ),
  );
  const legend = h(
    'p',
    { class: 'legend' },
    h('span', { class: 'key away' }),
    'the model was away',
    h('span', { class: 'key cut' }),
    'the caller cut in',
  );
  let last = null;
  details.addEventListener('toggle', () => last && showTable(last));

  function showTable(call) {
    if (!details.open) return;
    showList(tableBody, tableRows(call), (cells) =>
      h('tr', {}, ...cells.map((text, index) => (index === 0 ? h('th', { scope: 'row' }, text) : h('td', {}, text)))),
    );
  }

  return {
    element: section(
      'plots',
      'The call over time',
      ...Object.values(plots).map(({ figure }) => figure),
      legend,
      details,
    ),
    show(call) {
      last = call;
      const time = {
        lengthMs: call.durationMs,
        outages: outages(call),
        cuts: bargeIns(call.timeline),
      };
      legend.hidden = time.outages.length === 0 && time.cuts.length === 0;
      for (const [name, strip] of Object.entries(strips(call))) plots[name].draw(strip, time);
      showTable(call);
    },
  };
}

const seriesPoints = ({ stepMs, fromMs = 0 }, values = []) =>
  values.map((value, index) => [fromMs + index * stepMs, value]);
const db = (value) => (value <= -96 ? 'silence' : `${value} dB`);

/** What each plot shows. */
function strips({ timeline, series, state }) {
  const none = (what) => (state === 'ended' ? `no ${what}` : `no ${what} yet`);
  const waits = answers(timeline);
  const longest = Math.max(...waits.map(([, ms]) => ms), 0);
  const level = (title, values) => {
    const peak = Math.max(...(values ?? []), -96);
    const desc = values?.length ? `loudest ${db(peak)}FS`.replace('silenceFS', 'silence') : none('audio');
    return {
      title,
      desc,
      min: FLOOR_DB,
      max: 0,
      words: db,
      shape: 'area',
      points: seriesPoints(series, values),
      stepMs: series.stepMs,
    };
  };
  const queue = (title, values) => {
    const peak = Math.max(...(values ?? []), 0);
    const desc = values?.length ? `at most ${latency(peak)}` : none('audio');
    const words = (value) => (value < 1_000 ? `${Math.round(value)} ms` : `${Number((value / 1_000).toFixed(1))} s`);
    return {
      title,
      desc,
      min: 0,
      max: niceAbove(Math.max(peak, 100)),
      words,
      shape: 'area',
      points: seriesPoints(series, values),
      stepMs: series.stepMs,
    };
  };
  return {
    answers: {
      title: 'How long each answer took',
      desc: waits.length > 0 ? `${many(waits.length, 'answer')}, the slowest ${latency(longest)}` : none('answer'),
      min: 0,
      max: niceAbove(Math.max(longest, 100)),
      words: (value) => latency(value).replace('.00', ''),
      shape: 'stems',
      points: waits,
    },
    up: level('Level of the caller', series.upDb),
    down: level('Level of what the caller was sent', series.downDb),
    upQueue: queue('Caller’s audio that waits for the model', series.upQueuedMs),
    downQueue: queue('Audio that waits to be played to the caller', series.downQueuedMs),
  };
}

const TABLE_ROWS = 60;

/** The plots as text: each answer, and the line at so many moments that a table can be read. */
function tableRows({ timeline, series }) {
  const { upDb = [], downDb = [], upQueuedMs = [], downQueuedMs = [] } = series;
  const step = Math.max(1, Math.ceil(upDb.length / TABLE_ROWS));
  const points = seriesPoints(series, upDb)
    .filter((_, index) => index % step === 0)
    .map(([atMs], index) => {
      const worst = (values) => Math.max(...values.slice(index * step, (index + 1) * step));
      return [atMs, '', db(worst(upDb)), db(worst(downDb)), count(worst(upQueuedMs)), count(worst(downQueuedMs))];
    });
  const rows = [...points, ...answers(timeline).map(([atMs, ms]) => [atMs, latency(ms), '', '', '', ''])];
  return rows.sort((a, b) => a[0] - b[0]).map(([atMs, ...cells]) => [moment(atMs), ...cells]);
}
