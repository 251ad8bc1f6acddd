// The page's one audio context, which the browser lets sound only after a gesture of the user.

const GESTURES = ["pointerdown", "pointerup", "touchend", "keydown", "click"];

export class AudioOutlet {
  #ready = null;
  context = null;

  get isRunning() {
    return this.context?.state === "running";
  }

  /** Start with each gesture until it runs; phones stop it when a call comes in, so this goes on for good. */
  watchGestures() {
    for (const name of GESTURES) document.addEventListener(name, () => this.start(), {capture: true, passive: true});
  }

  start() {
    if (this.isRunning) return;
    this.whenReady();
    this.context.resume().catch(() => {}); // refused until the next gesture
  }

  /** Make the context, at the device's own rate, and load what runs in the audio thread, which secure pages have. */
  whenReady() {
    if (!this.#ready) {
      this.context = new AudioContext({latencyHint: "interactive"});
      const load = (name) => this.context.audioWorklet?.addModule(new URL(name, import.meta.url));
      this.#ready = Promise.all([load("./capture-worklet.js"), load("./player-worklet.js")]);
    }
    return this.#ready;
  }
}
