// When the microphone is heard: the talk button's taps and holds, and the modes of listening that they mean.

import {Microphone} from "./microphone.js";
import {PressButton} from "./press.js";

const SPEECH_RATE_HZ = 16000;
const LINGER_MS = 10000; // the next push finds the microphone open; then the browser's sign goes out
const MOST_HELD_FRAMES = 100; // 3 s, while it is not known yet whether the press is a tap
const QUIETEST_DBFS = -60;

/** Tells of `change` when `mode` or `isOpening` has changed. */
export class Listening extends EventTarget {
  #button;
  #page; // its audio, live, settings and notices
  #microphone = new Microphone();
  #modeBefore = "off";
  #isPressed = false;
  #heldFrames = null; // of a press that may become a tap or a hold
  #lingerTimer = 0;
  #wakeLock = null;
  mode = "off"; // or "hands_free" or "push_to_talk"
  isOpening = false;

  constructor(button, page) {
    super();
    this.#button = button;
    this.#page = page;
    new PressButton(button, {
      onPress: () => this.#press(),
      onTap: () => this.#tap(),
      onHold: () => this.#listen("push_to_talk"),
      onRelease: () => this.#release(),
    });
    this.#microphone.addEventListener("frame", ({detail}) => this.#hear(detail));
    this.#microphone.addEventListener("lost", () => {
      if (this.mode !== "off") this.#stop();
      page.notices.showMicrophone("lost");
    });
    page.settings.addEventListener("listening", () => this.#change());
    document.addEventListener("visibilitychange", () => this.#keepAwake());
  }

  /** Go on after the connection was away; a push that it broke off is over. */
  resume() {
    if (this.mode === "hands_free") this.#start();
  }

  /** Stop and let go of the microphone: somebody else has this conversation. */
  giveUp() {
    if (this.mode !== "off") this.#stop();
    this.#microphone.close();
  }

  #press() {
    this.#isPressed = true;
    this.#modeBefore = this.mode;
    this.#heldFrames = [];
    if (this.mode === "off") this.#openMicrophone();
  }

  #tap() {
    this.#isPressed = false;
    if (this.#modeBefore === "off") this.#listen("hands_free");
    else this.#stop();
  }

  #release() {
    this.#isPressed = false;
    this.#stop();
    if (this.#modeBefore === "hands_free") this.#listen("hands_free");
  }

  async #openMicrophone() {
    clearTimeout(this.#lingerTimer);
    this.isOpening = !this.#microphone.isOpen;
    this.#tell();
    try {
      await this.#microphone.open(this.#page.audio, this.#page.settings.processing);
      this.#page.notices.clear("microphone");
    } catch (error) {
      if (this.mode !== "off") this.#page.live.send("stop_listening");
      this.mode = this.#modeBefore = "off";
      this.#page.notices.showMicrophone(error.code);
    }
    this.isOpening = false;
    if (this.mode === "off" && !this.#isPressed) this.#linger();
    this.#tell();
  }

  #listen(mode) {
    this.mode = mode;
    this.#start();
    for (const pcm16 of this.#heldFrames ?? []) this.#page.live.sendSound(pcm16);
    this.#heldFrames = null;
    this.#openMicrophone();
    this.#keepAwake();
  }

  #start() {
    this.#page.live.send("start_listening", {rate: SPEECH_RATE_HZ, mode: this.mode, ...this.#page.settings.listening});
  }

  #stop() {
    this.mode = "off";
    this.#heldFrames = null;
    this.#page.live.send("stop_listening");
    this.#linger();
    this.#keepAwake();
    this.#tell();
  }

  /** Close the microphone soon. */
  #linger() {
    clearTimeout(this.#lingerTimer);
    this.#lingerTimer = setTimeout(() => this.mode === "off" && this.#microphone.close(), LINGER_MS);
  }

  #change() {
    this.#microphone.close();
    if (this.mode === "off") return;
    this.#start();
    this.#openMicrophone();
  }

  #hear({pcm16, rms}) {
    const level = this.mode === "off" ? 0 : Math.max(0, 1 - (20 * Math.log10(rms + 1e-9)) / QUIETEST_DBFS);
    this.#button.style.setProperty("--level", level.toFixed(2));
    if (this.mode !== "off") this.#page.live.sendSound(pcm16);
    else if (this.#isPressed && this.#heldFrames?.length < MOST_HELD_FRAMES) this.#heldFrames.push(pcm16);
  }

  /** A phone that lies on the table does not go to sleep in a hands-free conversation. */
  async #keepAwake() {
    if (this.mode !== "hands_free") {
      this.#wakeLock?.release();
      this.#wakeLock = null;
    } else if (!document.hidden && (this.#wakeLock?.released ?? true)) {
      this.#wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
    }
  }

  #tell() {
    if (this.mode === "off") this.#button.style.setProperty("--level", "0");
    this.dispatchEvent(new Event("change"));
  }
}
