// One call: why it ended, what the caller heard, where the time went.

import { api, callPath } from './api.js';
import { h, setData, setText, toast } from './dom.js';
import { hangUpCall } from './calls.js';
import { listener } from './listen.js';
import { on } from './live.js';
import { numbersButton, parties, watchNumbers } from './numbers.js';
import { happenedSection, idsSection, soundSection, talkSection, timelineSection } from './sections.js';
import { plotSection, timeSection } from './times.js';
import { STATES } from './words.js';

const PAUSE_MS = 1_000;

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
    on('started', (other) => {
      if (!isOurs(other)) return;
      // Its id came back.
      call = null;
      refresh();
    }),
    on('ended', (other) => isOurs(other) && refresh()),
    watchNumbers(() => call && page.show(call)),
    numbersButton(
      page.reveal,
      () => callPath(id),
      (error) => toast(`Numbers cannot be shown: ${error.message}`, true),
    ),
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
  const sections = [
    happenedSection(),
    talkSection(),
    timeSection(),
    plotSection(),
    soundSection(),
    idsSection(),
    timelineSection(),
  ];
  const body = h('div', { class: 'call-body', hidden: true }, ...sections.map((section) => section.element));
  const element = h(
    'div',
    { class: 'call' },
    h(
      'div',
      { class: 'head' },
      h('div', { class: 'title' }, h('a', { href: '#/', class: 'back' }, '← Calls'), heading, state),
      h('div', { class: 'row' }, ear.element, reveal, hangUp),
    ),
    failure,
    body,
  );
  let shown = null;
  hangUp.addEventListener('click', () => hangUpCall(shown));
  // Until there is a call to act on.
  const offer = (isLive) => {
    hangUp.hidden = !isLive;
    ear.element.hidden = !isLive;
    if (!isLive) ear.stop();
  };
  offer(false);
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
      offer(!isOver);
      ear.allow(!['announced', 'ended'].includes(call.state));
      for (const section of sections) section.show(call);
    },
    fail(error) {
      failure.hidden = false;
      if (error.status === 404) offer(false);
      setData(failure, 'kind', 'error');
      setText(
        failure,
        error.status === 404
          ? 'No such call is known here. Ended calls are kept for a while only (calls.history).'
          : `This page cannot be brought up to date: ${error.message}`,
      );
    },
  };
}
