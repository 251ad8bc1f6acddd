// In the audio thread: plays what is in line without gaps, says what is sounding, and falls silent at once when told to.

const FADE_S = 0.005; // sound that ends between two samples clicks

class PlayerProcessor extends AudioWorkletProcessor {
  #line = []; // of {samples, tag}; the tag comes back when it begins to sound
  #at = 0;
  #tag = null;

  constructor() {
    super();
    this.port.onmessage = ({data}) => {
      if (data === "drop") this.#drop();
      else this.#line.push(data);
    };
  }

  process(_, [[output]]) {
    let filled = 0;
    while (filled < output.length && this.#line.length) filled = this.#fill(output, filled);
    if (filled && !this.#line.length) {
      this.#tag = null;
      this.port.postMessage({silent: true});
    }
    return true;
  }

  #fill(output, filled) {
    const {samples, tag} = this.#line[0];
    if (tag !== this.#tag && tag !== null) {
      this.#tag = tag;
      this.port.postMessage({tag});
    }
    const piece = samples.subarray(this.#at, this.#at + output.length - filled);
    output.set(piece, filled);
    this.#at += piece.length;
    if (this.#at === samples.length) {
      this.#line.shift();
      this.#at = 0;
    }
    return filled + piece.length;
  }

  #drop() {
    const n = Math.round(FADE_S * sampleRate);
    const next = this.#line.length ? this.#line[0].samples.subarray(this.#at, this.#at + n) : [];
    this.#line = next.length ? [{samples: next.map((value, i) => value * (1 - i / n)), tag: null}] : [];
    this.#at = 0;
    this.#tag = null;
  }
}

registerProcessor("player", PlayerProcessor);
