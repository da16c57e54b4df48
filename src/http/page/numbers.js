// Telephone numbers are masked. Who asks sees them for a minute.

import { api } from './api.js';

const SHOWN_MS = 60_000;
const known = new Map();
const watchers = new Set();
let timer = null;

/** Whether numbers are shown now. */
export const areShown = () => timer !== null;

/** "+*******1234" -> "…1234": the stars say nothing. */
const short = (number) => number?.replace(/^\+?\*+/, '…') ?? 'unknown';

/** "from → to", as it may be shown now; null of a call without numbers. */
export function parties(call) {
  const { from, to } = known.get(call.callId) ?? call;
  return from || to ? `${short(from)} → ${short(to)}` : null;
}

/** Calls `watcher` whenever numbers were shown or hidden. Gives what ends that. */
export function watchNumbers(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Shows the numbers of the calls that `path` gives, a list or one call. */
export async function showNumbers(path) {
  const answer = await api(`${path}${path.includes('?') ? '&' : '?'}reveal=numbers`);
  for (const { callId, from, to } of answer.calls ?? [answer]) known.set(callId, { from, to });
  clearTimeout(timer);
  timer = setTimeout(hideNumbers, SHOWN_MS);
  tell();
}

/** Hides them again. */
export function hideNumbers() {
  clearTimeout(timer);
  timer = null;
  known.clear();
  tell();
}

function tell() {
  for (const watcher of watchers) watcher();
}

/** Makes a button of `path`'s numbers. Gives what ends its watching. */
export function numbersButton(button, path, failed) {
  const draw = () => {
    button.setAttribute('aria-pressed', areShown());
    button.textContent = areShown() ? 'Hide numbers' : 'Show numbers';
  };
  button.onclick = () => (areShown() ? hideNumbers() : showNumbers(path()).catch(failed));
  draw();
  return watchNumbers(draw);
}
