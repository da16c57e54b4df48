// Listening in on a call: a token, a socket that brings PCMU, and Web Audio.

import { api, callPath } from './api.js';
import { announce, h, setData, setText } from './dom.js';

/** PCMU to -1..1, for each byte (G.711). */
const PCMU = Float32Array.from({ length: 256 }, (_, byte) => {
  const bits = ~byte & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4)) - 0x84;
  return (bits & 0x80 ? -magnitude : magnitude) / 32_768;
});

const METER_FLOOR_DB = -60;

/**
 * The listener of one call's page.
 * @returns {{element: HTMLElement, allow: (possible: boolean) => void, stop: () => void}}
 */
export function listener(callId) {
  const start = h('button', { type: 'button', class: 'listen', onclick: listen }, 'Listen in');
  const mute = h('button', { type: 'button', 'aria-pressed': 'false', onclick: toggleMute }, 'Mute');
  const stopButton = h('button', { type: 'button', onclick: () => stop('Stopped listening.') }, 'Stop listening');
  const meter = h('meter', { min: METER_FLOOR_DB, max: 0, low: -40, high: -6, optimum: -20, value: METER_FLOOR_DB });
  const meterLabel = h('label', { class: 'meter' }, h('span', { class: 'unseen' }, 'Level in dBFS'), meter);
  const status = h('span', { class: 'note' });
  const controls = h('span', { class: 'row', hidden: true }, meterLabel, mute, stopButton);
  const element = h('div', { class: 'row listener' }, start, controls, status);

  let socket = null;
  let audio = null;
  let gain = null;
  let metering = 0;

  const say = (text, kind = 'note') => {
    setText(status, text);
    setData(status, 'kind', kind);
    if (text) announce(text);
  };

  async function listen() {
    start.disabled = true;
    say('Connecting …');
    let own = null;
    try {
      // Before anything is awaited: browsers let a click start sound, and only a click.
      own = newContext();
      audio = own;
      const { path } = await api(callPath(callId, '/listen-token'), { method: 'POST' });
      await own.audioWorklet.addModule('/assets/listen-worklet.js');
      await own.resume();
      if (audio === own) open(path, play(own));
    } catch (error) {
      // Stopped meanwhile: nobody wants to hear of it.
      if (audio === own) stop(`Cannot listen: ${error.message}`, 'error');
    }
  }

  /** Worklet -> analyser (for the meter) -> gain (for mute) -> loudspeaker. */
  function play(context) {
    const source = new AudioWorkletNode(context, 'listener', { numberOfInputs: 0, outputChannelCount: [1] });
    const analyser = new AnalyserNode(context, { fftSize: 1_024 });
    gain = new GainNode(context);
    source.connect(analyser).connect(gain).connect(context.destination);
    const samples = new Float32Array(analyser.fftSize);
    metering = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      meter.value = Math.max(METER_FLOOR_DB, 20 * Math.log10(peak || 1e-6));
    }, 80);
    return source.port;
  }

  function open(path, port) {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    socket = new WebSocket(`${scheme}://${location.host}${path}`);
    socket.binaryType = 'arraybuffer';
    let heard = false;
    socket.onopen = () => {
      start.hidden = true;
      controls.hidden = false;
      stopButton.focus();
      say('Listening: caller and model, as they are now.');
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') {
        if (JSON.parse(data).type === 'stop') stop('The call is over.');
        return;
      }
      heard = true;
      const samples = Float32Array.from(new Uint8Array(data), (byte) => PCMU[byte]);
      port.postMessage(samples, [samples.buffer]);
    };
    socket.onclose = () =>
      stop(
        heard
          ? 'The call is over, or the connection was lost.'
          : 'The service did not let this page listen: the call is over, or too many listen.',
        heard ? 'note' : 'error',
      );
  }

  function toggleMute() {
    const muted = gain.gain.value > 0;
    gain.gain.value = muted ? 0 : 1;
    mute.setAttribute('aria-pressed', muted);
    say(muted ? 'Muted.' : 'Listening.');
  }

  /** Ends it, once. */
  function stop(why = '', kind = 'note') {
    const had = document.activeElement === stopButton || document.activeElement === mute;
    if (socket) {
      socket.onclose = null;
      socket.close();
    }
    clearInterval(metering);
    audio?.close();
    socket = null;
    audio = null;
    start.disabled = false;
    start.hidden = false;
    controls.hidden = true;
    meter.value = METER_FLOOR_DB;
    mute.setAttribute('aria-pressed', 'false');
    if (had) start.focus();
    say(why, kind);
  }

  return {
    element,
    allow(possible) {
      start.disabled = !possible || audio !== null;
      start.title = possible ? '' : 'There is nothing to hear: the call has no media.';
    },
    stop: () => audio && stop(),
  };
}

/** The browser resamples, where it can. */
function newContext() {
  try {
    return new AudioContext({ sampleRate: 8_000, latencyHint: 'interactive' });
  } catch {
    return new AudioContext({ latencyHint: 'interactive' });
  }
}
