// What the caller heard and said, made from a call's timeline.

import { latency, length } from './words.js';

/** @typedef {{atMs: number, kind: string, text: string, ms?: number}} Entry */

/**
 * One thing in the conversation. `who` is `caller`, `model`, `prompt`, `keys`, `cut` (a barge-in), or `note`; a `text` of
 * null was spoken, but nobody wrote it down.
 * @typedef {{atMs: number, who: string, text: string|null, aside: string|null, bad?: boolean}} Turn
 */

/**
 * The conversation, in the order in which it was spoken. What was said is written down later than it was said, the
 * caller's words often after the answer to them: they are put to the turn that they belong to.
 * @param {Entry[]} timeline
 * @returns {Turn[]}
 */
export function conversation(timeline) {
  const turns = [];
  const add = (entry, who, text, aside = null, more = {}) => {
    const turn = { atMs: entry.atMs, who, text, aside, ...more };
    turns.push(turn);
    return turn;
  };
  // Whoever still speaks has not been written down yet.
  const lastWordless = (who) =>
    turns.findLast((turn) => turn.who === who && turn.text === null && !turn.isOpen) ??
    turns.findLast((turn) => turn.who === who && turn.text === null);
  for (const entry of timeline) {
    const { kind, text, atMs, ms } = entry;
    if (kind === 'speech') {
      if (text.includes('pauses')) {
        const turn = turns.findLast((turn) => turn.who === 'caller');
        if (turn?.isOpen) Object.assign(turn, { isOpen: false, aside: `spoke for ${length(atMs - turn.atMs)}` });
      } else {
        add(entry, 'caller', null, null, { isOpen: true });
      }
    } else if (kind === 'answer') {
      add(entry, 'model', null, `answered after ${latency(ms)}`);
    } else if (kind === 'caller' || kind === 'model') {
      const turn = lastWordless(kind);
      if (turn) turn.text = text;
      else add(entry, kind, text);
    } else if (kind === 'barge_in') {
      add(entry, 'cut', bargeIn(entry));
    } else if (kind === 'dtmf') {
      const last = turns.at(-1);
      if (last?.who === 'keys') last.text += ` ${text}`;
      else add(entry, 'keys', text);
    } else if (kind === 'prompt') {
      const [, words] = text.match(/^by the SIP media application: (.*)$/s) ?? [];
      add(entry, 'prompt', words ?? text, words ? 'spoken by the SIP media application' : 'our own recording');
    } else if (kind === 'fallback') {
      add(entry, 'note', fallback(text), null, { bad: !text.startsWith('recovered') });
    } else if (kind === 'transfer' || kind === 'tool') {
      add(entry, 'note', `${kind === 'tool' ? 'The model’s tool' : 'Transfer to'} ${text}`);
    } else if (kind === 'renewal' && text.includes('took over')) {
      add(entry, 'note', 'A fresh session of the model took over; the caller heard nothing of it.');
    }
  }
  return turns;
}

function bargeIn({ text, ms }) {
  const [, heard, of] = text.match(/^heard (\d+) of (\d+) ms/) ?? [];
  if (of) return `The caller cut in: ${length(Number(heard))} of ${length(Number(of))} of the answer were heard.`;
  if (ms === undefined) return `The caller cut in: ${text}`;
  return ms > 0
    ? `The caller cut in: ${length(ms)} of the answer were heard.`
    : 'The caller cut in before the answer was heard.';
}

function fallback(text) {
  const [state, ...reason] = text.split(': ');
  const because = reason.length > 0 ? ` (${reason.join(': ')})` : '';
  const words = {
    entered: `The model is away: the fallback keeps the caller company${because}.`,
    recovered: 'The model is back.',
    gave_up: `The model did not come back: goodbye${because}.`,
  };
  return words[state] ?? text;
}

/**
 * When the model was away, in ms of the call; the last of them may go on.
 * @param {{timeline: Entry[], durationMs: number, fallback: {state: string}}} call
 * @returns {{from: number, to: number, reason: string}[]}
 */
export function outages({ timeline, durationMs, fallback }) {
  const spans = [];
  // A full timeline may lack the end of an outage.
  const nowMs = fallback.state === 'idle' ? (timeline.at(-1)?.atMs ?? 0) : durationMs;
  for (const { kind, text, atMs } of timeline) {
    if (kind !== 'fallback') continue;
    if (text.startsWith('entered')) spans.push({ from: atMs, to: nowMs, reason: text.slice('entered: '.length) });
    else if (text.startsWith('recovered') && spans.length > 0) spans.at(-1).to = atMs;
  }
  return spans;
}

/** How long outages were in all, in ms. */
export const awayFor = (spans) => spans.reduce((sum, { from, to }) => sum + to - from, 0);

/** How long the model's session took, from the caller's audio on; null while there is none. */
export function setupTime({ setupMs, timeline }) {
  const at = (kind, text) => timeline.find((entry) => entry.kind === kind && entry.text === text)?.atMs;
  const [attached, ready] = [at('link', 'attached'), at('session', 'ready')];
  return setupMs ?? (attached === undefined || ready === undefined ? null : Math.max(0, ready - attached));
}

/** Each answer's latency: `[atMs, ms]`. */
export const answers = (timeline) =>
  timeline.filter(({ kind, ms }) => kind === 'answer' && ms !== undefined).map(({ atMs, ms }) => [atMs, ms]);

/** When the caller cut in, in ms of the call. */
export const bargeIns = (timeline) => timeline.filter(({ kind }) => kind === 'barge_in').map(({ atMs }) => atMs);
