// The built service, its model, its callers and Amazon Chime's voice API, all on loopback.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const BINARY = process.env.TRUNKLINE_BINARY;
assert.ok(BINARY, 'TRUNKLINE_BINARY names the built service');

/** Nothing here takes longer. */
export const PATIENCE_MS = 20_000;
/** What no page may show, beside telephone numbers. */
export const SECRETS = {
  admin: 'sEcret-5481',
  ingest: 'sEcret-6612',
  key: 'sEcret-7093',
  webhook: 'sEcret-8824',
  aws: 'sEcret-9155',
};
export const APPLICATION = '2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21';
export const OWN_NUMBER = '+15550199002';

export const sleep = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** Waits until `look` gives something, and gives that. */
export async function until(what, look, patience = PATIENCE_MS) {
  const deadline = performance.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(performance.now() < deadline, `not within ${patience} ms: ${what}`);
    await sleep(25);
  }
}

const children = new Set();
// A test run that dies leaves nobody behind.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A command of the binary, with the addresses that it printed. */
async function start(args, env, names) {
  const clean = Object.entries(process.env).filter(([name]) => !/^(TRUNKLINE|AWS)_/.test(name));
  const cwd = mkdtempSync(join(tmpdir(), 'trunkline-workspace-'));
  const child = spawn(BINARY, args, {
    cwd,
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  const process_ = {
    child,
    log: '',
    exit: new Promise((resolve) => {
      child.once('exit', resolve);
    }),
  };
  process_.exit.then(() => children.delete(child));
  child.stderr.setEncoding('utf8').on('data', (text) => {
    process_.log += text;
  });
  const found = {};
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, name, address] = line.split(' ');
    if (word === 'listening') found[name] = address;
  });
  await until(`${args[0]} listens`, () => {
    assert.equal(child.exitCode, null, process_.log);
    return names.every((name) => found[name]);
  });
  return Object.assign(process_, found);
}

async function stop({ child, exit }, signal = 'SIGKILL') {
  child.kill(signal);
  await exit;
}

/** `trunkline sim`, a Realtime model that lets in only who knows its key. */
export async function startSim(...flags) {
  const sim = await start(['sim', '--listen', '127.0.0.1:0', '--key', SECRETS.key, ...flags], {}, ['sim']);
  return { url: `ws://${sim.sim}/openai/v1/realtime?model=gpt-realtime`, stop: () => stop(sim) };
}

/** `trunkline serve` with every secret set. */
export class Service {
  static async start(model, api, more = {}) {
    const service = new Service();
    service.env = {
      TRUNKLINE__MEDIA__LISTEN: '127.0.0.1:0',
      TRUNKLINE__ADMIN__LISTEN: '127.0.0.1:0',
      TRUNKLINE__ADMIN__TOKEN: SECRETS.admin,
      TRUNKLINE__INGEST__SECRET: SECRETS.ingest,
      TRUNKLINE__REALTIME__URL: model.url,
      TRUNKLINE__REALTIME__API_KEY: SECRETS.key,
      TRUNKLINE__REALTIME__TRANSCRIPTION_MODEL: 'whisper-1',
      TRUNKLINE__SMA__APPLICATION_ID: APPLICATION,
      TRUNKLINE__SMA__REGION: 'us-east-1',
      TRUNKLINE__SMA__ENDPOINT_URL: api.url,
      TRUNKLINE__SMA__VOICE_CONNECTOR_ARN: 'arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy',
      TRUNKLINE__SMA__FROM_NUMBER: OWN_NUMBER,
      TRUNKLINE__SMA__CREATES_PER_SECOND: '1000',
      TRUNKLINE__SMA__WEBHOOK_SECRET: SECRETS.webhook,
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: SECRETS.aws,
      AWS_EC2_METADATA_DISABLED: 'true',
      ...more,
    };
    await service.run();
    return service;
  }

  async run() {
    this.process = await start(['serve'], this.env, ['media', 'admin']);
    this.url = `http://${this.process.admin}`;
  }

  /** Ends it as a crash does. */
  async die() {
    await stop(this.process);
  }

  /** Starts it again where it was. */
  async restart() {
    Object.assign(this.env, {
      TRUNKLINE__MEDIA__LISTEN: this.process.media,
      TRUNKLINE__ADMIN__LISTEN: this.process.admin,
    });
    await this.run();
  }

  get media() {
    return this.process.media;
  }

  /** An answer of the admin listener, by its token. */
  async ask(path, method = 'GET') {
    const response = await fetch(this.url + path, { method, headers: { authorization: `Bearer ${SECRETS.admin}` } });
    return response.json().catch(() => ({}));
  }

  /** A viewer of `/admin/live`. */
  watch() {
    return new WebSocket(`ws://${this.process.admin}/admin/live`, {
      headers: { authorization: `Bearer ${SECRETS.admin}` },
    }).on('error', () => {});
  }

  call(id) {
    return this.ask(`/admin/calls/${encodeURIComponent(id)}`);
  }

  ended(id) {
    return until(`${id} ends`, async () => {
      const call = await this.call(id);
      return call.state === 'ended' && call;
    });
  }

  /** Has `trunkline call` speak its sentence to the model and hear the answer. Gives its end. */
  telephone(id, query) {
    const env = { ...process.env, TRUNKLINE_SECRET: SECRETS.ingest };
    const child = spawn(BINARY, ['call', `ws://${this.media}/ingest?${new URLSearchParams(query)}`, '--call-id', id], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.add(child);
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    return new Promise((resolve) => {
      child.once('exit', (code) => {
        children.delete(child);
        resolve({ code, log });
      });
    });
  }
}

const SILENCE = Buffer.alloc(160, 0xff);
const FRAME_MS = 20;

/** G.711 mu-law of a linear sample. */
function mulaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(sample), 32_635) + 0x84;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f)) & 0xff;
}

/** A scale: beside its own echo a single tone may cancel out. */
const scale = Array.from({ length: 50 }, (_, frame) =>
  Buffer.from(
    Array.from({ length: 160 }, (_, index) =>
      mulaw(Math.round(10_000 * Math.sin((2 * Math.PI * (300 + 20 * frame) * index) / 8_000))),
    ),
  ),
);

/** A caller by `/ingest`. */
export class Phone {
  /** Calls; `acceptedAt` is when the upgrade was accepted. */
  static async dial(service, id, query = {}) {
    const phone = new Phone();
    phone.isQuiet = false;
    const all = new URLSearchParams({ callId: id, ...query });
    phone.socket = new WebSocket(`ws://${service.media}/ingest?${all}`, {
      headers: { authorization: `Bearer ${SECRETS.ingest}` },
      perMessageDeflate: false,
    });
    phone.over = new Promise((resolve) => {
      phone.socket.once('close', resolve);
    });
    phone.over.then(() => clearInterval(phone.timer));
    await new Promise((resolve, reject) => {
      phone.socket.once('upgrade', () => {
        phone.acceptedAt = performance.now();
      });
      phone.socket.once('open', resolve);
      phone.socket.once('error', reject);
    });
    return phone;
  }

  /** Goes on sending at the pace of speech: a scale, or silence while `isQuiet`. */
  speak() {
    const began = performance.now();
    let sent = 0;
    this.timer = setInterval(() => {
      if (this.socket.readyState !== WebSocket.OPEN) return;
      for (; sent * FRAME_MS < performance.now() - began; sent += 1)
        this.socket.send(this.isQuiet ? SILENCE : scale[sent % scale.length]);
    }, FRAME_MS);
  }

  /** Sends a frame of silence every second: enough to be counted. */
  idle(offset) {
    this.timer = setTimeout(() => {
      this.timer = setInterval(() => this.socket.readyState === WebSocket.OPEN && this.socket.send(SILENCE), 1_000);
    }, offset);
  }

  hangUp() {
    clearInterval(this.timer);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send('{"type":"stop"}');
    return this.over;
  }
}

/** The two calls of Amazon Chime's voice API, as far as the service asks. */
export async function startChime() {
  const asked = [];
  const replies = [];
  let made = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      asked.push({ path: request.url, body: body ? JSON.parse(body) : null });
      const { status = 201, error, hang } = replies.shift() ?? {};
      if (hang) return;
      made += 1;
      const taken = request.url.endsWith('/calls')
        ? { SipMediaApplicationCall: { TransactionId: `7d3b0c9e-0000-4000-8000-${String(made).padStart(12, '0')}` } }
        : { SipMediaApplicationCall: { TransactionId: request.url.split('/').at(-1) } };
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(error ? { 'x-amzn-errortype': error } : {}),
      });
      response.end(JSON.stringify(error ? { Code: error, Message: 'no' } : taken));
    });
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    /** What becomes of the next requests. */
    next: (...list) => replies.push(...list),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
