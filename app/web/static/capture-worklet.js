// In the audio thread: the microphone at the context's rate becomes frames of PCM16 mono at 16 kHz, each with its level.

import {Resampler} from "./resampler.js";

const SPEECH_RATE_HZ = 16000;
const FRAME_SAMPLES = 512; // 32 ms

class CaptureProcessor extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, SPEECH_RATE_HZ);
  #frame = new Int16Array(FRAME_SAMPLES);
  #filled = 0;
  #energy = 0;

  process([channels]) {
    if (channels.length) for (const value of this.#resampler.push(mix(channels))) this.#add(value);
    return true;
  }

  #add(value) {
    const clipped = Math.max(-1, Math.min(1, value));
    this.#frame[this.#filled++] = Math.round(clipped * 32767);
    this.#energy += clipped * clipped;
    if (this.#filled < FRAME_SAMPLES) return;
    const pcm16 = this.#frame.buffer;
    this.port.postMessage({pcm16, rms: Math.sqrt(this.#energy / FRAME_SAMPLES)}, [pcm16]);
    this.#frame = new Int16Array(FRAME_SAMPLES);
    this.#filled = 0;
    this.#energy = 0;
  }
}

function mix(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("capture", CaptureProcessor);
