// What concerns the service as a whole: its health and totals, drain, log.

import { api } from './api.js';
import { $, confirm, h, setData, setText, showList, toast } from './dom.js';
import { board, on } from './live.js';
import { CHECKS, count, ending, healthSentence, many, time } from './words.js';

const TOTALS = [
  ['Live', (totals) => totals.live],
  ['Ringing', (totals) => totals.announced],
  ['Started', (totals) => totals.started],
  ['Ended', (totals) => sum(totals.ended)],
  ['Drops', (totals) => totals.dropped],
  ['Underruns', (totals) => totals.underruns],
  ['Outages', (totals) => totals.fallbackEntered],
  ['Reconnects', (totals) => totals.reconnects],
];
const MORE_TOTALS = [
  ['Frames ↑', (totals) => totals.upFrames],
  ['Frames ↓', (totals) => totals.downFrames],
  ['Answers', (totals) => totals.responses],
  ['Interruptions', (totals) => totals.interruptions],
  ['Prompts', (totals) => totals.prompts],
  ['Panics', (totals) => totals.panics],
];
/** Those that should not rise. */
const BAD = new Set(['Drops', 'Underruns', 'Outages', 'Reconnects', 'Panics']);
/** A total that rose is marked for so long: one that rose last week is no news. */
const NEWS_MS = 60_000;

const sum = (numbers) => Object.values(numbers).reduce((all, number) => all + number, 0);

/** Wires up health, totals, drain and log. */
export function setUpService() {
  for (const kind of ['link', 'snapshot', 'counters']) on(kind, show);
  show();
  for (const button of document.querySelectorAll('.drain')) button.addEventListener('click', drain);
  setUpLog();
}

function show() {
  showLink();
  const { health, totals, version } = board;
  if (health) {
    const [grade, sentence] = healthSentence(health);
    const verdict = $('#health .verdict');
    setData($('#health'), 'grade', grade);
    setText(verdict, sentence);
    showList(
      $('#health ul'),
      Object.entries(health.checks).map(([check, state]) => {
        const [name, words] = CHECKS[check] ?? [check, {}];
        return [state, name, words[state] ?? state];
      }),
      ([state, name, words]) => h('li', { 'data-check': state }, h('span', {}, name), ' ', h('b', {}, words)),
    );
    for (const button of document.querySelectorAll('.drain')) button.disabled = health.checks.draining === 'fail';
  }
  if (totals) {
    showTotals($('#totals'), TOTALS);
    showTotals($('#all-totals'), [...TOTALS, ...MORE_TOTALS]);
    const reasons = Object.entries(totals.ended)
      .filter(([, number]) => number > 0)
      .sort(([, a], [, b]) => b - a);
    showList($('#reasons'), reasons, ([reason, number]) =>
      h(
        'li',
        { 'data-fault': ending(reason).fault ? 'yes' : null },
        h('span', {}, ending(reason).short),
        h('b', {}, count(number)),
      ),
    );
    $('#no-reasons').hidden = reasons.length > 0;
  }
  setText($('#version'), version ? `Trunkline ${version}` : '');
}

function showTotals(list, totals) {
  if (list.childElementCount === 0) list.append(...totals.map(([name]) => h('div', {}, h('dt', {}, name), h('dd'))));
  totals.forEach(([name, of], index) => {
    const number = of(board.totals);
    const seen = (list.seen ??= new Map()).get(name);
    if (seen?.number !== number)
      list.seen.set(name, { number, roseAt: seen && number > seen.number ? performance.now() : -NEWS_MS });
    const isNews = performance.now() - list.seen.get(name).roseAt < NEWS_MS;
    setText($('dd', list.children[index]), count(number));
    setData(list.children[index], 'bad', BAD.has(name) && isNews ? 'yes' : 'no');
  });
}

function showLink() {
  const { link, trouble, heardAt } = board;
  document.body.dataset.link = link;
  setText($('#link'), { connecting: 'Connecting …', open: 'Connected', lost: 'Not connected' }[link]);
  const banner = $('#lost');
  banner.hidden = link !== 'lost';
  const since = heardAt ? ` What you see is from ${time(heardAt)}.` : '';
  if (link === 'lost') setText(banner, `Not connected to the service, trying again. ${trouble ?? ''}${since}`);
}

async function drain() {
  const sure = await confirm(
    'Drain this service?',
    `New calls are refused from now on; ${many(board.calls.size, 'live call')} may finish, then the service ends. ` +
      'This cannot be taken back.',
    'Drain',
  );
  if (!sure) return;
  try {
    await api('/admin/drain', { method: 'POST' });
    toast('Draining: no new calls are taken.');
  } catch (error) {
    toast(`Not draining: ${error.message}`, true);
  }
}

/** The log's filter, where the service lets it be changed. */
function setUpLog() {
  const form = $('#log');
  const field = $('input', form);
  const message = $('.message', form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      const { filter } = await api('/admin/log', { method: 'PUT', body: { filter: field.value } });
      field.value = filter;
      setData(message, 'kind', 'done');
      setText(message, 'The log is written so from now on.');
    } catch (error) {
      setData(message, 'kind', 'error');
      setText(message, error.message);
    }
  });
}

/** Shows the service's own view. */
export async function openService() {
  const form = $('#log');
  try {
    $('input', form).value = (await api('/admin/log')).filter;
    form.hidden = false;
  } catch {
    form.hidden = true;
  }
}
