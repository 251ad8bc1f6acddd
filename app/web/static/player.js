// The voice: chunks of PCM16 are played one behind the other; tells which sentence is sounding.

import {BufferVoice} from "./buffer-voice.js";
import {Resampler} from "./resampler.js";

/** Tells of `sentence` (what was given with the sound that now begins) and of `silent`. */
export class Player extends EventTarget {
  #audio;
  #rateHz = 24000;
  #resampler = null;
  #waiting = []; // until the context is there
  #node = null;
  #port = null;
  #preparing = null;
  #tag = null; // of the sentence that is sounding
  isSounding = false;

  constructor(audio) {
    super();
    this.#audio = audio;
  }

  /** Where the sound leaves the player; null before the first. */
  get output() {
    return this.#node;
  }

  set rateHz(value) {
    if (value !== this.#rateHz) this.#resampler = null;
    this.#rateHz = value;
  }

  /** Put a chunk in line.  tag: a text, equal for all chunks of a sentence. */
  play(pcm16, tag) {
    this.#add((resampler) => resampler.push(toSamples(pcm16)), tag);
  }

  /** Play the last milliseconds too, which wait for what may follow. */
  finish() {
    this.#add((resampler) => resampler.flush(), null);
  }

  /** Be silent now, and forget what is in line. */
  drop() {
    this.#waiting = [];
    this.#resampler?.reset();
    this.#port?.postMessage("drop");
    this.#becomeSilent();
  }

  /** Make what plays; the first sound does it too. */
  prepare() {
    this.#preparing ??= this.#makeNode();
    return this.#preparing;
  }

  #add(resample, tag) {
    if (!this.#node) {
      this.#waiting.push({resample, tag});
      this.prepare();
      return;
    }
    this.#resampler ??= new Resampler(this.#rateHz, this.#audio.context.sampleRate);
    const samples = resample(this.#resampler);
    if (samples.length) this.#port.postMessage({samples, tag});
  }

  async #makeNode() {
    await this.#audio.whenReady();
    const {context} = this.#audio;
    if (context.audioWorklet) {
      this.#node = new AudioWorkletNode(context, "player", {numberOfInputs: 0, outputChannelCount: [1]});
      this.#port = this.#node.port;
    } else {
      this.#port = new BufferVoice(context);
      this.#node = this.#port.node;
    }
    this.#port.onmessage = ({data}) => (data.silent ? this.#becomeSilent() : this.#tell(data.tag));
    this.#node.connect(context.destination);
    for (const {resample, tag} of this.#waiting.splice(0)) this.#add(resample, tag);
  }

  #tell(tag) {
    if (this.isSounding && tag === this.#tag) return;
    this.isSounding = true;
    this.#tag = tag;
    this.dispatchEvent(new CustomEvent("sentence", {detail: tag}));
  }

  #becomeSilent() {
    if (!this.isSounding) return;
    this.isSounding = false;
    this.dispatchEvent(new Event("silent"));
  }
}

function toSamples(pcm16) {
  const view = new DataView(pcm16); // little-endian whatever the machine is
  return Float32Array.from({length: view.byteLength >> 1}, (_, i) => view.getInt16(2 * i, true) / 32768);
}
