// The service's words and numbers, for people.

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 12345 -> "12,345"; unknown -> a dash. */
export const count = (number) => (number === null || number === undefined ? '–' : WHOLE.format(number));

/** "1 call", "2 calls". */
export const many = (number, word, plural = `${word}s`) => `${count(number)} ${number === 1 ? word : plural}`;

/** "once", "2 times". */
export const times = (number) => (number === 1 ? 'once' : `${count(number)} times`);

/** A latency: "0.21 ms", "640 ms", "1.9 s". */
export function latency(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** A clock that runs: "0:07", "12:34", "1:02:03". */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A moment in a call: "0:07.4". */
export const moment = (ms) => `${clock(ms)}.${Math.floor((Math.max(0, ms) % 1_000) / 100)}`;

/** A length in a sentence: "3 min 12 s". */
export function length(ms) {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const parts = [
    [Math.floor(seconds / 3_600), 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  return parts
    .filter(([number]) => number > 0)
    .slice(0, 2)
    .map(([number, unit]) => `${number} ${unit}`)
    .join(' ');
}

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const DATE = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
/** The log is in UTC, the reader may not be. */
const ZONE = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' });

/** Time of day, by the reader's clock. */
export const time = (date) => TIME.format(new Date(date));

/** Date and time, with the time zone. */
export function dateTime(date) {
  const when = new Date(date);
  const zone = ZONE.formatToParts(when).find(({ type }) => type === 'timeZoneName').value;
  return `${DATE.format(when)}, ${time(when)} ${zone}`;
}

/** The checks of health: what each is called, and what its states mean. */
export const CHECKS = {
  realtime: ['Speech model', { ok: 'answers', off: 'not set up', degraded: 'not reached', fail: 'failing' }],
  events: ['Call events', { ok: 'arrive', off: 'not set up', degraded: 'queue not reached', fail: 'failing' }],
  sma: ['SIP media application', { ok: 'answers', off: 'not set up', degraded: 'not reached', fail: 'failing' }],
  draining: ['New calls', { ok: 'taken', off: 'taken', degraded: 'refused', fail: 'refused: draining' }],
  capacity: ['Capacity', { ok: 'free', off: 'free', degraded: 'nearly full', fail: 'full' }],
};

/** The service's health in one sentence, and how bad it is. */
export function healthSentence({ ready, checks }) {
  if (checks.draining === 'fail') return ['fail', 'Draining: live calls may finish, new ones are refused.'];
  if (checks.capacity === 'fail') return ['fail', 'Full: new calls are refused until one ends.'];
  if (!ready) return ['fail', 'Not ready: new calls are refused.'];
  if (checks.realtime !== 'ok') return ['degraded', 'The speech model is not reached: callers hear prompts.'];
  const bad = ['sma', 'events'].filter((check) => ['degraded', 'fail'].includes(checks[check]));
  if (bad.includes('sma')) return ['degraded', 'Calls are carried, but the SIP media application does not answer.'];
  if (bad.includes('events')) return ['degraded', 'Calls are carried, but their announcements do not arrive.'];
  return ['ok', 'All is well.'];
}

/** Where a call stands. */
export const STATES = {
  announced: 'Ringing',
  connecting: 'Connecting',
  active: 'Live',
  fallback: 'Fallback',
  ending: 'Ending',
  ended: 'Ended',
};

/** Where the model's session stands. */
export const MODEL = { off: 'none', connecting: 'connecting', ready: 'listening', speaking: 'speaking', lost: 'lost' };

/** What the fallback does. */
export function fallbackWords({ state, entered }) {
  const now = { sma: 'SMA speaks', media: 'prompts', gave_up: 'gave up' }[state];
  return now ?? (entered > 0 ? `over (${entered}×)` : '–');
}

/** @typedef {{short: string, sentence: string, fault: string|null, next: string|null}} Ending */

/** How calls end: in a list, in a sentence, whose fault it is, and what to look at next. */
export const ENDINGS = {
  caller_hangup: {
    short: 'Caller hung up',
    sentence: 'the caller hung up',
    fault: null,
    next: null,
  },
  model_hangup: {
    short: 'Model hung up',
    sentence: 'the model said goodbye and hung up',
    fault: null,
    next: 'The model gave its reason with its tool: see the conversation.',
  },
  operator_hangup: {
    short: 'Operator hung up',
    sentence: 'an operator hung up',
    fault: null,
    next: null,
  },
  transferred: {
    short: 'Transferred',
    sentence: 'the call was transferred and goes on elsewhere',
    fault: null,
    next: null,
  },
  media_lost: {
    short: 'Media lost',
    sentence: 'the caller’s audio was lost and did not come back in time',
    fault: 'The way of the audio to Trunkline failed: network, gateway, or a carrier that hung up without a word.',
    next: 'Look for the last “Line” entries in the timeline, and at the gateway or trunk of that time.',
  },
  no_media: {
    short: 'No media came',
    sentence: 'it was announced, but no audio ever came',
    fault: 'Nobody answered, or the call was never bridged to Trunkline.',
    next: 'Of an outbound call: the telephone may have rung unanswered. Else look at the Voice Connector’s route to here.',
  },
  max_duration: {
    short: 'Longest duration',
    sentence: 'it reached the longest duration that is allowed',
    fault: null,
    next: 'The limit is calls.max_duration.',
  },
  fallback_exhausted: {
    short: 'Model away',
    sentence: 'the speech model was lost and did not come back',
    fault: 'The speech model failed, not the line: the caller heard a goodbye.',
    next: 'The timeline’s “Session” and “Fallback” entries say why; look at the model’s service and quota.',
  },
  drained: {
    short: 'Drained',
    sentence: 'the service stopped and the call outlived the drain',
    fault: 'Planned, but the caller was cut off.',
    next: 'calls.drain_timeout says how long calls may go on when the service stops.',
  },
  rejected: {
    short: 'Rejected',
    sentence: 'there is no route for it, or one that rejects',
    fault: 'The configured routes do not take this call.',
    next: 'Compare the called number with [[routes]] in the configuration.',
  },
  internal: {
    short: 'Internal fault',
    sentence: 'Trunkline itself failed',
    fault: 'A fault of Trunkline’s.',
    next: 'Search the log for this call’s id, and report what it says.',
  },
};

/** How a call ended, also by a reason that this page does not know. */
export const ending = (reason) =>
  ENDINGS[reason] ?? { short: reason, sentence: `it ended as “${reason}”`, fault: null, next: null };

/** Kinds of timeline entries. */
export const KINDS = {
  link: 'Line',
  route: 'Route',
  session: 'Session',
  renewal: 'Renewal',
  speech: 'Speech',
  answer: 'Answer',
  response: 'Response',
  caller: 'Caller',
  model: 'Model',
  barge_in: 'Barge-in',
  tool: 'Tool',
  dtmf: 'Key',
  playout: 'Playout',
  transfer: 'Transfer',
  fallback: 'Fallback',
  prompt: 'Prompt',
  end: 'End',
};

/** Where frames are lost. */
export const PLACES = {
  vc_ring: 'waited too long for the transcoder',
  session_ring: 'waited too long for the model',
  socket: 'not taken by the caller’s socket in time',
  playout_limit: 'over the limit of audio that may wait to be played',
  bad_audio: 'could not be used (size or coding)',
  mailbox: 'a queue inside the service was full',
};
