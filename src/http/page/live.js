// What the service tells by its socket: the calls there are, its health, its totals. It reconnects by itself.

import { api } from './api.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** Something comes once a second: after this long without, the connection is dead, whatever the network says. */
const SILENCE_MS = 6_000;

/**
 * @typedef {{ready: boolean, checks: Record<string, 'ok'|'off'|'degraded'|'fail'>}} Health
 * @typedef {object} Call CALL of the admin API, and `seenAt`: when its `durationMs` was true, as `performance.now()` is.
 */

/** The state of everything. `link` is `connecting`, `open` or `lost`. */
export const board = {
  /** @type {Map<string, Call>} */
  calls: new Map(),
  /** @type {Health|null} */
  health: null,
  totals: null,
  version: null,
  link: 'connecting',
  /** Why there is no connection, where that is known. */
  trouble: null,
  /** When something was heard last. */
  heardAt: null,
};

/** `board.heardAt`, as `performance.now()` is. */
let heardAt = 0;
const listeners = new Map();

/**
 * Calls `listener` when something happened: `link`, `snapshot`, `started` (call), `changed` (call), `ended` (call),
 * `counters` (the calls that moved). Gives what ends that.
 */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

function tell(kind, what) {
  for (const listener of listeners.get(kind) ?? []) listener(what);
}

/** How long a call lasts by now, in ms. */
export function durationOf(call) {
  if (call.state === 'ended') return call.durationMs;
  // Without a connection it is as long as it was when something was heard last.
  const now = board.link === 'open' ? performance.now() : Math.max(call.seenAt, heardAt);
  return call.durationMs + now - call.seenAt;
}

function take(call) {
  call.seenAt = performance.now();
  board.calls.set(call.callId, call);
  return call;
}

function takeRow([callId, ...numbers]) {
  const call = board.calls.get(callId);
  if (!call) return null;
  const { up, down, model, fallback } = call;
  [up.frames, up.fps, up.dropped, up.queuedMs] = numbers;
  [down.frames, down.fps, down.dropped, down.queuedMs, down.underruns] = numbers.slice(4);
  const latencies = model.responseLatencyMs;
  [model.responses, model.interruptions, latencies.last, fallback.prompts, model.state, latencies.p95] =
    numbers.slice(9);
  return call;
}

const takers = {
  snapshot({ calls, health, totals, version }) {
    Object.assign(board, { health, totals, version });
    board.calls.clear();
    calls.forEach(take);
    tell('snapshot');
  },
  started: ({ call }) => tell('started', take(call)),
  changed: ({ call }) => tell('changed', take(call)),
  ended({ call }) {
    board.calls.delete(call.callId);
    tell('ended', call);
  },
  counters({ health, totals, calls }) {
    Object.assign(board, { health, totals });
    tell('counters', calls.map(takeRow).filter(Boolean));
  },
};

let socket = null;
let attempts = 0;
let retry = null;
let silence = null;

function setLink(link, trouble = null) {
  Object.assign(board, { link, trouble });
  tell('link');
}

/** Connects, and stays connected. */
export function connect() {
  clearTimeout(retry);
  retry = null;
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new WebSocket(`${scheme}://${location.host}/admin/live`);
  const own = socket;
  let opened = false;
  const over = (trouble) => {
    if (socket !== own) return;
    socket = null;
    clearTimeout(silence);
    own.close();
    // One that was not let in is told why by `findTrouble`; until then the reason is what it was.
    setLink('lost', trouble ?? (opened ? null : board.trouble));
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts) * (0.75 + Math.random() / 2);
    attempts += 1;
    retry = setTimeout(connect, wait);
    if (!opened) findTrouble();
  };
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => over('Nothing was heard for some seconds.'), SILENCE_MS);
  };
  own.onmessage = ({ data }) => {
    if (socket !== own) return;
    listen();
    const message = JSON.parse(data);
    board.heardAt = new Date();
    heardAt = performance.now();
    takers[message.type]?.(message);
    if (message.type === 'snapshot' && board.link !== 'open') {
      opened = true;
      attempts = 0;
      setLink('open');
    }
  };
  own.onclose = ({ code }) => over(code === 1001 ? 'The service has stopped.' : null);
  listen();
}

/** A browser is not told why a socket was refused: a plain request is, and who must log in is sent there. */
async function findTrouble() {
  try {
    await api('/admin/live');
  } catch (error) {
    if (board.link === 'open' || error.code === 'unreachable') return;
    setLink(board.link, error.code === 'at_capacity' ? error.message : null);
  }
}

function hurry() {
  if (retry === null || document.hidden) return;
  attempts = 0;
  connect();
}
addEventListener('online', hurry);
document.addEventListener('visibilitychange', hurry);
