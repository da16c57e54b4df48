// Plays what comes in, at 8 kHz, on the audio thread. Waits until a little is there, so that jitter leaves no gaps, and
// skips ahead when too much is: who listens wants to hear now.

const RATE = 8_000;
const START = RATE * 0.12;
const MOST = RATE * 0.4;
const RING = RATE;

class Listener extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(RING);
    this.written = 0;
    /** Position in samples of the source, with a fraction. */
    this.read = 0;
    this.playing = false;
    this.step = RATE / sampleRate;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  /** @param {Float32Array} samples */
  take(samples) {
    for (const sample of samples) {
      this.ring[this.written % RING] = sample;
      this.written += 1;
    }
    if (this.written - this.read > MOST) this.read = this.written - START;
    if (this.written - this.read >= START) this.playing = true;
  }

  process(_inputs, [[channel]]) {
    for (let index = 0; index < channel.length; index += 1) {
      const at = Math.floor(this.read);
      // Between two samples: the second of them has to be there.
      if (this.playing && at + 1 >= this.written) this.playing = false;
      if (!this.playing) {
        channel[index] = 0;
        continue;
      }
      const part = this.read - at;
      channel[index] = this.ring[at % RING] * (1 - part) + this.ring[(at + 1) % RING] * part;
      this.read += this.step;
    }
    return true;
  }
}

registerProcessor('listener', Listener);
