// The voice where the browser has no audio worklets, as on pages over plain HTTP from another machine: buffers in line.

const FADE_S = 0.005;
const START_S = 0.02; // so that the first buffer is not late

/** Takes and tells what the port of player-worklet.js does. */
export class BufferVoice {
  #context;
  #line = []; // of {source, tag}; the first is sounding
  #endsAt = 0;
  #gain = null;
  onmessage = null;

  constructor(context) {
    this.#context = context;
    this.node = context.createGain();
  }

  postMessage(data) {
    if (data === "drop") this.#drop();
    else this.#play(data);
  }

  #play({samples, tag}) {
    const source = this.#context.createBufferSource();
    source.buffer = this.#context.createBuffer(1, samples.length, this.#context.sampleRate);
    source.buffer.copyToChannel(samples, 0);
    this.#gain ??= this.#makeGain();
    source.connect(this.#gain);
    source.onended = () => this.#end();
    const at = Math.max(this.#context.currentTime + START_S, this.#endsAt);
    source.start(at);
    this.#endsAt = at + source.buffer.duration;
    this.#line.push({source, tag});
    if (this.#line.length === 1) this.#tell(tag);
  }

  #makeGain() {
    const gain = this.#context.createGain();
    gain.connect(this.node);
    return gain;
  }

  #end() {
    this.#line.shift();
    if (this.#line.length) this.#tell(this.#line[0].tag);
    else this.onmessage({data: {silent: true}});
  }

  #tell(tag) {
    if (tag !== null) this.onmessage({data: {tag}});
  }

  #drop() {
    const now = this.#context.currentTime;
    for (const {source} of this.#line) {
      source.onended = null;
      source.stop(now + FADE_S);
    }
    this.#gain?.gain.setValueAtTime(1, now);
    this.#gain?.gain.linearRampToValueAtTime(0, now + FADE_S);
    this.#gain = null; // what comes next is not faded
    this.#line = [];
    this.#endsAt = 0;
  }
}
