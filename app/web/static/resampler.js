// Changes the rate of a stream of samples: a windowed sinc that also keeps out what the lower rate cannot hold.

const ZERO_CROSSINGS = 24; // on each side: 80 dB of damping from the new Nyquist frequency on
const ROLL_OFF = 0.9;
const KAISER_BETA = 8;
const STEPS_PER_SAMPLE = 128; // of the kernel's table; between them it is interpolated

export class Resampler {
  #step;
  #half;
  #kernel;
  #held;
  #at;

  constructor(fromHz, toHz) {
    const cutoff = Math.min(1, toHz / fromHz) * ROLL_OFF;
    this.#step = fromHz / toHz;
    this.#half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.#kernel = makeKernel(cutoff, this.#half);
    this.reset();
  }

  /** Forget what came before: the next sample is the first of a new stream. */
  reset() {
    this.#held = new Float32Array(this.#half);
    this.#at = this.#half; // where the next output's centre lies in what is held
  }

  /** Return what can be told after these samples, a Float32Array at the new rate. */
  push(samples) {
    if (this.#step === 1) return samples;
    const held = new Float32Array(this.#held.length + samples.length);
    held.set(this.#held);
    held.set(samples, this.#held.length);
    const n = Math.max(0, Math.ceil((held.length - this.#half - this.#at) / this.#step));
    const output = new Float32Array(n);
    for (let i = 0; i < n; i++) output[i] = this.#valueAt(held, this.#at + i * this.#step);
    this.#at += n * this.#step;
    const done = Math.max(0, Math.floor(this.#at) - this.#half);
    this.#held = held.slice(done);
    this.#at -= done;
    return output;
  }

  /** Return the rest of the stream, and begin a new one. */
  flush() {
    if (this.#step === 1) return new Float32Array(0);
    const rest = this.push(new Float32Array(this.#half));
    this.reset();
    return rest;
  }

  #valueAt(held, centre) {
    const first = Math.max(0, Math.ceil(centre - this.#half));
    const last = Math.min(held.length - 1, Math.floor(centre + this.#half));
    let sum = 0;
    for (let i = first; i <= last; i++) {
      const place = Math.abs(centre - i) * STEPS_PER_SAMPLE;
      const below = Math.floor(place);
      const value = this.#kernel[below];
      sum += held[i] * (value + (place - below) * (this.#kernel[below + 1] - value));
    }
    return sum;
  }
}

function makeKernel(cutoff, half) {
  const kernel = new Float32Array(half * STEPS_PER_SAMPLE + 2); // one side, and a zero to interpolate towards
  for (let i = 0; i <= half * STEPS_PER_SAMPLE; i++) {
    const x = i / STEPS_PER_SAMPLE;
    const angle = Math.PI * cutoff * x;
    const sinc = i === 0 ? 1 : Math.sin(angle) / angle;
    kernel[i] = cutoff * sinc * kaiser(x / half);
  }
  return kernel;
}

function kaiser(x) {
  return bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel(KAISER_BETA);
}

// The modified Bessel function of order zero, by its power series.
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
