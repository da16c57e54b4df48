// The official Agents SDK for realtime speech against a Realtime server. It answers tools, truncates and checks every event's shape
// by itself; this script only speaks, listens and looks on.
//
//     node agents_client.mjs ws://127.0.0.1:8090 SPEECH.wav
//
// The server must end its sessions after 25 to 120 seconds, see openai_client.py. Exit 0 only if everything held.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

const RATE = 24000;
const BYTES_PER_MS = 48;
const PACKET_MS = 20;

function readWav(path) {
  const file = readFileSync(path);
  assert.equal(file.toString('ascii', 0, 4), 'RIFF');
  assert.equal(file.readUInt16LE(22), 1, 'mono');
  const rate = file.readUInt32LE(24);
  const data = file.indexOf('data', 36, 'ascii') + 8;
  const count = Math.floor((file.length - data) / 2);
  const out = Buffer.alloc((Math.floor((count * RATE) / rate) - 2) * 2);
  for (let n = 0; n * 2 < out.length; n += 1) {
    const place = (n * rate) / RATE;
    const index = Math.min(Math.floor(place), count - 2);
    const share = place - index;
    const a = file.readInt16LE(data + index * 2);
    const b = file.readInt16LE(data + index * 2 + 2);
    out.writeInt16LE(Math.trunc(a * (1 - share) + b * share), n * 2);
  }
  return out;
}

const base = process.argv[2].replace(/\/$/, '');
const speech = readWav(process.argv[3]);

const calls = [];
const endCall = tool({
  name: 'end_call',
  description: 'Hang up.',
  parameters: z.object({ reason: z.string() }),
  execute: async ({ reason }) => {
    calls.push(reason);
    return 'ok';
  },
});

const transport = new OpenAIRealtimeWebSocket({ url: `${base}/openai/v1/realtime?model=gpt-realtime` });
const session = new RealtimeSession(new RealtimeAgent({ name: 'check', instructions: 'Answer briefly.', tools: [endCall] }), {
  transport,
  model: 'gpt-realtime',
  config: {
    audio: {
      input: {
        format: { type: 'audio/pcm', rate: RATE },
        turnDetection: {
          type: 'server_vad',
          threshold: 0.5,
          prefixPaddingMs: 300,
          silenceDurationMs: 700,
          createResponse: true,
          interruptResponse: true,
        },
      },
      output: { format: { type: 'audio/pcm', rate: RATE }, voice: 'marin' },
    },
  },
});

// Everything that comes, in order; waiters are looked at as it comes.
const events = [];
const waiters = new Set();
let answer = [];
let interruptions = 0;
let finished = false;

function until(kind, seconds = 30) {
  const from = events.length;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${kind} in ${seconds} s`)), seconds * 1000);
    const look = (event, index) => {
      if (index >= from && event.type === kind) {
        clearTimeout(timer);
        waiters.delete(look);
        resolve(event);
      }
    };
    waiters.add(look);
  });
}

transport.on('*', (event) => {
  const index = events.push(event) - 1;
  for (const look of [...waiters]) look(event, index);
});
transport.on('audio', (event) => answer.push(Buffer.from(event.data)));
session.on('audio_interrupted', () => (interruptions += 1));
session.on('error', ({ error }) => {
  if (!JSON.stringify(error ?? '').includes('session_expired')) {
    console.error('error', error);
    process.exit(1);
  }
});

// A packet every 20 ms, silence when nobody speaks.
let waiting = Buffer.alloc(0);
const sent = [];
let due = performance.now();
function packet() {
  if (finished) return;
  const size = PACKET_MS * BYTES_PER_MS;
  const audio = Buffer.alloc(size);
  waiting.copy(audio, 0, 0, size);
  waiting = waiting.subarray(Math.min(size, waiting.length));
  sent.push(audio);
  session.sendAudio(audio.buffer.slice(audio.byteOffset, audio.byteOffset + size));
  due += PACKET_MS;
  setTimeout(packet, Math.max(0, due - performance.now()));
}

const created = until('session.created');
await session.connect({ apiKey: 'any' });
const expiresAt = (await created).session.expires_at;
assert.ok(expiresAt - Date.now() / 1000 < 120, "the server's sessions live too long for this test");
const socket = transport.connectionState.websocket;
const closed = new Promise((resolve) => socket.addEventListener('close', (event) => resolve(event.code)));
if (!events.some((event) => event.type === 'session.updated')) await until('session.updated');
packet();

// A spoken turn.
let started = until('input_audio_buffer.speech_started');
let stopped = until('input_audio_buffer.speech_stopped');
let done = until('response.done');
waiting = speech;
const [{ audio_start_ms: from }, { audio_end_ms: to }] = await Promise.all([started, stopped]);
assert.equal((await done).response.status, 'completed');
const heard = Buffer.concat(sent).subarray(from * BYTES_PER_MS, to * BYTES_PER_MS);
assert.ok(Buffer.concat(answer).equals(heard), 'the parrot says exactly what it heard');
assert.equal(session.history.filter((item) => item.type === 'message').length, 2);
console.log(`turn: ${(heard.length / BYTES_PER_MS / 1000).toFixed(2)} s heard and said back`);

// Barge-in: the SDK truncates by itself when speech starts.
answer = [];
const delta = until('response.output_audio.delta');
waiting = Buffer.concat(Array(1 + Math.floor((8000 * BYTES_PER_MS) / speech.length)).fill(speech));
const interrupted = (await delta).item_id;
const truncated = until('conversation.item.truncated');
done = until('response.done');
waiting = speech;
assert.equal((await done).response.status_details?.reason, 'turn_detected');
const cut = await truncated;
assert.equal(cut.item_id, interrupted);
assert.ok(interruptions >= 1);
assert.equal((await until('response.done')).response.status, 'completed');
console.log(`barge-in: cancelled, truncated at ${cut.audio_end_ms} ms, new turn answered`);

// A tool: the SDK runs it, sends its output and asks for the next response.
answer = [];
const call = until('response.done');
session.sendMessage('#tool end_call {"reason":"done"}');
assert.equal((await call).response.output[0].type, 'function_call');
assert.equal((await until('response.done')).response.status, 'completed');
assert.deepEqual(calls, ['done']);
assert.ok(answer.length > 0, "the tool's output is answered in sound");
console.log('tool: called, answered');

// Expiry.
const error = await until('error', expiresAt - Date.now() / 1000 + 10);
finished = true;
assert.equal(error.error.code, 'session_expired');
assert.ok(Math.abs(Date.now() / 1000 - expiresAt) < 3, 'expires_at was not true');
assert.equal(await closed, 1001);
console.log('expiry: announced, kept, closed with 1001');

const refusals = events.filter((event) => event.type === 'error' && event.error.code !== 'session_expired');
assert.deepEqual(refusals, []);
process.exit(0);
