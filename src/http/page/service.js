// What concerns the service as a whole: its health and totals, drain, log.

import { api } from './api.js';
import { $, confirm, h, setData, setText, showList, toast } from './dom.js';
import { board, on } from './live.js';
import { CHECKS, count, ending, healthSentence, many, time } from './words.js';

const TOTALS = [
  ['Live', 'live'], ['Ringing', 'announced'], ['Started', 'started'], ['Ended', (totals) => sum(totals.ended)],
  ['Answers', 'responses'], ['Interruptions', 'interruptions'], ['Drops', 'dropped'], ['Underruns', 'underruns'],
  ['Outages', 'fallbackEntered'], ['Prompts', 'prompts'], ['Reconnects', 'reconnects'], ['Panics', 'panics'],
];
/** Those that should stay at none. */
const BAD = new Set(['Drops', 'Underruns', 'Outages', 'Reconnects', 'Panics']);

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
    showList($('#health ul'), Object.entries(health.checks).map(([check, state]) => {
      const [name, words] = CHECKS[check] ?? [check, {}];
      return [state, name, words[state] ?? state];
    }), ([state, name, words]) => h('li', { 'data-check': state }, h('span', {}, name), ' ', h('b', {}, words)));
    for (const button of document.querySelectorAll('.drain')) button.disabled = health.checks.draining === 'fail';
  }
  if (totals) {
    const list = $('#totals');
    if (list.childElementCount === 0) {
      list.append(...TOTALS.map(([name]) => h('div', {}, h('dt', {}, name), h('dd'))));
    }
    TOTALS.forEach(([name, of], index) => {
      const number = typeof of === 'string' ? totals[of] : of(totals);
      setText($('dd', list.children[index]), count(number));
      setData(list.children[index], 'bad', BAD.has(name) && number > 0 ? 'yes' : 'no');
    });
    const reasons = Object.entries(totals.ended).filter(([, number]) => number > 0).sort(([, a], [, b]) => b - a);
    showList($('#reasons'), reasons, ([reason, number]) =>
      h('li', { 'data-fault': ending(reason).fault !== null }, h('span', {}, ending(reason).short), h('b', {}, count(number))));
    $('#no-reasons').hidden = reasons.length > 0;
  }
  setText($('#version'), version ? `Trunkline ${version}` : '');
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
  const sure = await confirm('Drain this service?',
    `New calls are refused from now on; ${many(board.calls.size, 'live call')} may finish, then the service ends. `
    + 'This cannot be taken back.', 'Drain');
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
