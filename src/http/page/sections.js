// What a call's page says in words. Each section has an element, and shows a call as often as there is news.

import { $, h, section, setText, showList, toast } from './dom.js';
import { summarize } from './summary.js';
import { conversation } from './talk.js';
import { KINDS, MODEL, PLACES, clock, count, dateTime, latency, length, many, moment } from './words.js';

const SPEAKERS = {
  caller: 'Caller',
  model: 'Model',
  prompt: 'Prompt',
  keys: 'Keys',
  cut: 'Barge-in',
  note: 'Event',
};

export function happenedSection() {
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

function showFacts(list, call) {
  const { up, down, model, fallback } = call;
  const isOver = call.state === 'ended';
  const rate = (fps) => (isOver ? '' : `, ${Math.round(fps)}/s`);
  showList(
    list,
    [
      ['Began', dateTime(call.startedAt)],
      ...(isOver ? [['Ended', dateTime(Date.parse(call.startedAt) + call.durationMs)]] : []),
      [isOver ? 'Length' : 'Duration', clock(call.durationMs)],
      ['Direction', call.direction ?? '–'],
      ['Route', call.route ?? '–'],
      ['Link', call.link ?? 'no media yet'],
      ['Model', isOver ? '–' : (MODEL[model.state] ?? model.state)],
      ['Answers', count(model.responses)],
      ['Interrupted', count(model.interruptions)],
      ['From the caller', `${count(up.frames)} frames${rate(up.fps)}`],
      ['To the caller', `${count(down.frames)} frames${rate(down.fps)}`],
      ['Drops ↑ ↓', `${count(up.dropped)} · ${count(down.dropped)}`],
      ['Underruns', count(down.underruns)],
      ['Reconnects', count(model.reconnects)],
      ['Outages', `${count(fallback.entered)}${fallback.prompts ? ` · ${many(fallback.prompts, 'prompt')}` : ''}`],
    ],
    ([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)),
  );
}

export function talkSection() {
  const list = h('ol', { class: 'talk', tabindex: 0, 'aria-labelledby': 'h-heard' });
  const empty = h('p', { class: 'empty' });
  return {
    element: section('heard', 'What the caller heard and said', list, empty),
    show(call) {
      const turns = conversation(call.timeline);
      const isLive = call.state !== 'ended';
      showList(
        list,
        turns.map((turn) => ({ ...turn, isLive: isLive && turn.isOpen === true })),
        (turn) => {
          const words = turn.text ?? (turn.isLive ? 'is speaking …' : 'spoke; nobody wrote down what');
          return h(
            'li',
            {
              'data-who': turn.who,
              'data-bad': turn.bad ? 'yes' : null,
              class: turn.text === null ? 'wordless' : null,
            },
            h('span', { class: 'at' }, moment(turn.atMs)),
            h('span', { class: 'speaker' }, SPEAKERS[turn.who]),
            h('span', { class: 'words' }, words, turn.aside ? h('small', {}, turn.aside) : null),
          );
        },
      );
      empty.hidden = turns.length > 0;
      const isEcho = call.model.state === 'off' && isLive && call.state === 'active';
      setText(
        empty,
        isEcho
          ? 'This route is an echo: the caller hears his own voice.'
          : `Nothing was said ${isLive ? 'yet' : 'that was written down'}.`,
      );
    },
  };
}

/** What was lost on the way, and the packets of a call by SIP. */
export function soundSection() {
  const list = h('ul', { class: 'notes' });
  const packets = h('dl', { class: 'facts' });
  return {
    element: section('sound', 'What was lost', list, packets),
    show({ drops, rtp, down }) {
      const lost = ['up', 'down'].flatMap((way) =>
        Object.entries(drops[way])
          .filter(([, frames]) => frames > 0)
          .map(
            ([place, frames]) =>
              `${length(frames * 20)} of ${way === 'up' ? 'the caller’s' : 'the model’s'} audio ` +
              `(${many(frames, 'frame')}): ${PLACES[place] ?? place}.`,
          ),
      );
      if (down.underruns > 0) {
        lost.push(
          `${many(down.underruns, 'time')} the caller heard ${down.underruns === 1 ? 'a gap' : 'gaps'} of 20 ms: the model’s audio came too slowly.`,
        );
      }
      showList(list, lost.length > 0 ? lost : ['Nothing was dropped in Trunkline.'], (text) => h('li', {}, text));
      packets.hidden = rtp === null;
      if (rtp === null) return;
      showList(
        packets,
        [
          ['Packets', count(rtp.packets)],
          ['Lost', `${count(rtp.lost)} (${rtp.lossPercent} %)`],
          ['Late', count(rtp.late)],
          ['Made up', length(rtp.concealedMs)],
          ['Jitter', latency(rtp.jitterMs)],
          ['Jitter buffer', latency(rtp.depthMs)],
          ['Round trip', latency(rtp.roundTripMs)],
          [
            'MOS (1 to 4.5)',
            rtp.mos === null
              ? '–'
              : `${rtp.mos.toFixed(2)}, ${rtp.mos >= 4 ? 'good' : rtp.mos >= 3.6 ? 'fair' : 'poor'}`,
          ],
        ],
        ([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)),
      );
    },
  };
}

export function timelineSection() {
  const list = h('ol', { class: 'timeline', tabindex: 0, 'aria-labelledby': 'h-events' });
  const filters = h('div', { class: 'chips', role: 'group', 'aria-label': 'Kinds to show' });
  const left = h('p', { class: 'note' });
  const off = new Set();
  let last = null;

  const draw = ({ timeline, timelineDropped }) => {
    const sums = new Map();
    for (const { kind } of timeline) sums.set(kind, (sums.get(kind) ?? 0) + 1);
    showList(filters, [...sums.keys()], (kind) =>
      h(
        'label',
        { class: 'chip' },
        h('input', {
          type: 'checkbox',
          checked: !off.has(kind),
          onchange: ({ target }) => {
            if (target.checked) off.delete(kind);
            else off.add(kind);
            draw(last);
          },
        }),
        h('span', {}, KINDS[kind] ?? kind),
        h('span', { class: 'n' }),
      ),
    );
    [...sums.values()].forEach((sum, index) => setText($('.n', filters.children[index]), count(sum)));
    showList(
      list,
      timeline.filter(({ kind }) => !off.has(kind)),
      (entry) =>
        h(
          'li',
          { 'data-kind': entry.kind, 'data-bad': isBad(entry) ? 'yes' : null },
          h('span', { class: 'at' }, moment(entry.atMs)),
          h('span', { class: 'kind' }, KINDS[entry.kind] ?? entry.kind),
          h('span', { class: 'words' }, entry.text, entry.ms === undefined ? null : h('small', {}, latency(entry.ms))),
        ),
    );
    setText(
      left,
      timelineDropped > 0 ? `${many(timelineDropped, 'later entry', 'later entries')} did not fit in.` : '',
    );
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
  (kind === 'fallback' && !text.startsWith('recovered')) ||
  /\b(lost|failed|refused)\b/.test(['session', 'renewal', 'link', 'transfer', 'tool'].includes(kind) ? text : '');

export function idsSection() {
  const list = h('dl', { class: 'ids' });
  return {
    element: section('ids', 'Ids', list),
    show(call) {
      const ids = [
        ['Call', call.callId],
        ['Voice Connector’s transaction', call.transactionId],
        ['SIP media application’s transaction', call.smaTransactionId],
        ['Model’s session', call.model.sessionId],
        ['Trace', call.traceId ?? null],
      ];
      showList(
        list,
        ids.filter(([, id]) => id !== null),
        ([name, id]) =>
          h(
            'div',
            {},
            h('dt', {}, name),
            h(
              'dd',
              {},
              h('code', {}, id),
              h(
                'button',
                { type: 'button', class: 'quiet', 'aria-label': `Copy the id: ${name}`, onclick: () => copy(id) },
                'Copy',
              ),
            ),
          ),
      );
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
