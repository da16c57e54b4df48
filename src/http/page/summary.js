// A call in a few sentences, for somebody who was not there.

import { answers, awayFor, outages } from './talk.js';
import { clock, ending, latency, length, many, times } from './words.js';

/** Longer than people wait for an answer before they ask whether somebody is there. */
const SLOW_MS = 2_000;
/** Less than that of the caller is on its way at any end. */
const UNHEARD_MS = 1_000;
const WAITING = {
  announced: 'Ringing: the call is announced, its audio has not come yet.',
  connecting: 'The caller’s audio is here; the model’s session is being set up.',
  active: 'The call goes on.',
  fallback: 'The speech model is away: the caller hears prompts while a new session is sought.',
  ending: 'The call is being ended.',
};

/**
 * @returns {{sentence: string, fault: string|null, next: string|null, notes: {text: string, bad: boolean}[]}}
 */
export function summarize(call) {
  const notes = [];
  const note = (text, bad = false) => notes.push({ text, bad });
  const { timeline, model, fallback, up, down, rtp } = call;
  const isOver = call.state === 'ended';
  const how = isOver ? ending(call.endReason) : null;
  const last = (kind, start = '') =>
    timeline.findLast((entry) => entry.kind === kind && entry.text.startsWith(start))?.text;

  const away = outages(call);
  if (away.length > 0) {
    const prompts = fallback.prompts > 0 ? `; the caller heard ${many(fallback.prompts, 'keep-alive prompt')}` : '';
    note(`The model was away ${times(away.length)}, for ${length(awayFor(away))} in all${prompts}.`, true);
  }
  if (call.timelineDropped > 0) {
    const until = timeline.findLast(({ kind }) => kind === 'answer' || kind === 'speech')?.atMs ?? 0;
    note(`It is too long for its timeline: words and answers are told until ${clock(until)}.`);
  }
  const unheard = call.series.upQueuedMs?.at(-1) ?? 0;
  if (isOver && unheard >= UNHEARD_MS) note(`At least ${length(unheard)} of the caller’s audio reached no model.`, true);
  const loss = last('session', 'lost');
  if (loss && (away.length > 0 || model.reconnects > 0)) note(`What was last said of its session: “${loss}”.`);

  const waits = answers(timeline).map(([, ms]) => ms);
  if (waits.length > 0) {
    const slow = waits.filter((ms) => ms > SLOW_MS).length;
    if (slow > 0)
      note(
        `${many(slow, 'answer')} took longer than ${SLOW_MS / 1_000} s, the slowest ${latency(Math.max(...waits))}.`,
        true,
      );
  } else if (isOver && model.sessionId && call.durationMs > 5_000) {
    note('The model never answered the caller.', true);
  }
  if (model.interruptions > 0) note(`The caller interrupted the model ${times(model.interruptions)}.`);

  const spoke = timeline.some(({ kind }) => kind === 'speech' || kind === 'caller' || kind === 'dtmf');
  if (isOver && model.sessionId && !spoke) note('The model heard no speech of the caller.', call.durationMs > 5_000);
  if (up.frames === 0 && !['announced'].includes(call.state) && call.link) note('No audio came from the caller.', true);
  if (up.dropped > 0) note(`${length(up.dropped * 20)} of the caller’s audio were dropped.`, true);
  if (down.dropped > 0) note(`${length(down.dropped * 20)} of the model’s audio were dropped.`, true);
  if (down.underruns > 0) note(`The model’s audio ran dry ${times(down.underruns)}: short gaps.`, true);
  if (rtp && rtp.lossPercent >= 1) note(`${rtp.lossPercent} % of the caller’s packets were lost on the network.`, true);
  const reattached = timeline.filter(({ kind, text }) => kind === 'link' && text.includes('again')).length;
  if (reattached > 0) note(`The line was lost and came back ${times(reattached)}.`, true);
  if (isOver && notes.every(({ bad }) => !bad) && !how.fault) note('Nothing out of the ordinary was noticed.');

  return {
    sentence: isOver
      ? `Ended after ${length(call.durationMs)}: ${how.sentence}.`
      : (WAITING[call.state] ?? `State: ${call.state}.`),
    fault: how?.fault ?? null,
    next: how?.next ?? null,
    notes,
  };
}
