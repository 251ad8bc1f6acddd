// The page at /: puts microphone, connection, voice and transcript together.

import {AudioOutlet} from "./audio.js";
import {LiveConnection} from "./live.js";
import {isMicrophoneAllowedHere, Microphone} from "./microphone.js";
import {Notices} from "./notices.js";
import {Player} from "./player.js";
import {PressButton} from "./press.js";
import {Settings} from "./settings.js";
import {Transcript} from "./transcript.js";

const SPEECH_RATE_HZ = 16000;
const LINGER_MS = 10000; // the next push finds the microphone open; then the browser's sign goes out
const MOST_HELD_FRAMES = 100; // 3 s, while it is not known yet whether the press is a tap
const SHORT_BREAK_MS = 1500;
const QUIETEST_DBFS = -60;
const HINTS = {
  idle: "Tap to talk, or hold while you speak",
  opening: "Opening the microphone …",
  listening: "Listening. Tap to stop",
  hearing: "I hear you …",
  thinking: "Thinking …",
  speaking: "Answering …",
};
const INTERRUPTIBLE_HINT = "Answering. Just speak to interrupt";

const find = (id) => document.getElementById(id);

class TalkPage {
  audio = new AudioOutlet();
  live = new LiveConnection();
  player = new Player(this.audio);
  microphone = new Microphone();
  settings = new Settings(find("settings"), find("open-settings"));
  transcript = new Transcript(find("turns"), find("announcer"));
  notices = new Notices(find("notices"));
  #mode = "off"; // or "hands_free" or "push_to_talk"
  #modeBefore = "off";
  #isOpening = false;
  #isPressed = false;
  #heldFrames = null; // of a press that may become a tap or a hold
  #hearing = null; // turn_id of the utterance in progress
  #open = new Set(); // turns that wait for their answer's end
  #silenced = new Set(); // turns whose sound is not wanted any more
  #stoppedAt = new Map(); // when the utterance of a turn ended, or its text was sent
  #typedAt = null;
  #answeredMs = new Map();
  #lingerTimer = 0;
  #awayTimer = 0;
  #wakeLock = null;

  start() {
    this.audio.watchGestures();
    this.#watchControls();
    this.#watchSound();
    this.#watchConnection();
    this.#watchTurns();
    if (!isMicrophoneAllowedHere()) this.notices.showMicrophone("insecure");
    this.live.connect();
    this.#showPhase();
  }

  // ---- what the user does ----

  #watchControls() {
    new PressButton(find("talk"), {
      onPress: () => this.#press(),
      onTap: () => this.#tap(),
      onHold: () => this.#hold(),
      onRelease: () => this.#release(),
    });
    find("stop").addEventListener("click", () => this.#interrupt());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !find("settings").open) this.#interrupt();
    });
    find("typing").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#type(find("text").value.trim())) find("text").value = "";
    });
    find("examples").addEventListener("click", ({target}) => target.matches("button") && this.#type(target.textContent));
    this.settings.addEventListener("choice", ({detail}) => this.live.send("model_settings", detail));
    this.settings.addEventListener("listening", () => this.#changeListening());
    document.addEventListener("visibilitychange", () => this.#keepAwake());
  }

  #press() {
    this.#isPressed = true;
    this.#modeBefore = this.#mode;
    this.#heldFrames = [];
    if (this.#mode === "off") this.#openMicrophone();
  }

  #tap() {
    this.#isPressed = false;
    if (this.#modeBefore === "off") this.#listen("hands_free");
    else this.#stopListening();
  }

  #hold() {
    this.#listen("push_to_talk");
  }

  #release() {
    this.#isPressed = false;
    this.#stopListening();
    if (this.#modeBefore === "hands_free") this.#listen("hands_free");
  }

  async #openMicrophone() {
    clearTimeout(this.#lingerTimer);
    this.#isOpening = !this.microphone.isOpen;
    this.#showPhase();
    try {
      await this.microphone.open(this.audio, this.settings.processing);
      this.notices.clear("microphone");
    } catch (error) {
      if (this.#mode !== "off") this.live.send("stop_listening");
      this.#mode = this.#modeBefore = "off";
      this.notices.showMicrophone(error.code);
    }
    this.#isOpening = false;
    if (this.#mode === "off" && !this.#isPressed) this.#linger();
    this.#showPhase();
  }

  #listen(mode) {
    this.#mode = mode;
    this.#startListening();
    for (const pcm16 of this.#heldFrames ?? []) this.live.sendSound(pcm16);
    this.#heldFrames = null;
    this.#openMicrophone();
    this.#keepAwake();
  }

  #startListening() {
    this.live.send("start_listening", {rate: SPEECH_RATE_HZ, mode: this.#mode, ...this.settings.listening});
  }

  #stopListening() {
    this.#mode = "off";
    this.#heldFrames = null;
    this.live.send("stop_listening");
    this.#linger();
    this.#keepAwake();
    this.#showPhase();
  }

  /** Close the microphone soon. */
  #linger() {
    clearTimeout(this.#lingerTimer);
    this.#lingerTimer = setTimeout(() => this.#mode === "off" && this.microphone.close(), LINGER_MS);
  }

  #changeListening() {
    this.microphone.close();
    if (this.#mode === "off") return;
    this.#startListening();
    this.#openMicrophone();
  }

  #interrupt() {
    if (!this.#open.size && !this.player.isSounding) return;
    this.#silence();
    this.live.send("interrupt");
  }

  #type(text) {
    if (!text) return false;
    if (!this.live.send("user_message", {text})) return false;
    this.#silence();
    this.transcript.addTyped(text);
    this.#typedAt = performance.now();
    return true;
  }

  /** Fall silent before the service has answered: what it has sent meanwhile is not heard any more. */
  #silence() {
    for (const turnId of this.#open) if (turnId !== this.#hearing) this.#silenced.add(turnId);
    this.#drop();
  }

  #drop() {
    this.player.drop();
    this.transcript.markSounding();
    this.#showPhase();
  }

  // ---- sound ----

  #watchSound() {
    this.microphone.addEventListener("frame", ({detail}) => this.#hear(detail));
    this.microphone.addEventListener("lost", () => {
      if (this.#mode !== "off") this.#stopListening();
      this.notices.showMicrophone("lost");
    });
    this.live.addEventListener("sound", ({detail}) => this.#play(detail));
    this.player.addEventListener("sentence", ({detail}) => this.#markSentence(detail));
    this.player.addEventListener("silent", () => {
      this.transcript.markSounding();
      this.#showPhase();
    });
  }

  #hear({pcm16, rms}) {
    const level = this.#mode === "off" ? 0 : Math.max(0, 1 - (20 * Math.log10(rms + 1e-9)) / QUIETEST_DBFS);
    find("talk").style.setProperty("--level", level.toFixed(2));
    if (this.#mode !== "off") this.live.sendSound(pcm16);
    else if (this.#isPressed && this.#heldFrames?.length < MOST_HELD_FRAMES) this.#heldFrames.push(pcm16);
  }

  #play({meta, pcm16}) {
    if (this.#silenced.has(this.transcript.turnOf(meta.message_id))) return;
    if (!this.audio.isRunning) this.notices.show("sound", "Tap anywhere to hear the answer.");
    this.player.play(pcm16, `${meta.sentence_index} ${meta.message_id}`);
  }

  #markSentence(tag) {
    const index = parseInt(tag, 10);
    const messageId = tag.slice(tag.indexOf(" ") + 1);
    const turnId = this.transcript.turnOf(messageId);
    this.notices.clear("sound");
    this.transcript.markSounding(messageId, index);
    if (this.#stoppedAt.has(turnId) && !this.#answeredMs.has(turnId)) {
      this.#answeredMs.set(turnId, performance.now() - this.#stoppedAt.get(turnId));
    }
    this.#showPhase();
  }

  // ---- the connection ----

  #watchConnection() {
    this.live.addEventListener("state", ({detail}) => this.#showConnection(detail));
    this.live.addEventListener("session", ({detail}) => {
      this.player.rateHz = detail.sample_rate;
      this.settings.offer(detail);
      if (this.#mode === "hands_free") this.#startListening();
    });
    this.live.addEventListener("settings", ({detail}) => this.settings.show(detail));
    this.live.addEventListener("error", ({detail}) => {
      if (detail.code !== "replaced" && detail.code !== "silent-client") this.notices.showError(detail.code, detail.message);
    });
  }

  #showConnection(state) {
    document.body.dataset.connection = state;
    find("connection").textContent = {open: "connected", connecting: "connecting …", waiting: "reconnecting …"}[state] ?? "offline";
    const actions = {
      replaced: {label: "Continue here", run: () => this.live.connect()},
      unauthorized: {label: "Open", asks: "Token", run: openWithToken},
    };
    this.#explainConnection(state, actions[state]);
    if (state === "open") return;
    this.#hearing = null;
    this.#open.clear();
    this.transcript.loseTurns();
    if (state === "replaced" || state === "unauthorized") this.#giveUp();
    this.#showPhase();
  }

  /** A short break is over before anybody has read about it. */
  #explainConnection(state, action) {
    if (state === "waiting") this.#awayTimer ||= setTimeout(() => this.notices.showConnection(state), SHORT_BREAK_MS);
    if (state === "waiting" || state === "connecting") return;
    clearTimeout(this.#awayTimer);
    this.#awayTimer = 0;
    this.notices.showConnection(state, action);
  }

  #giveUp() {
    this.player.drop();
    if (this.#mode !== "off") this.#stopListening();
    this.microphone.close();
  }

  // ---- turns ----

  #watchTurns() {
    const on = (type, react) => this.live.addEventListener(type, ({detail}) => {
      react(detail);
      this.#showPhase();
    });
    on("speech_started", ({turn_id: turnId}) => {
      this.#hearing = turnId;
      this.transcript.startSpeech(turnId);
    });
    on("stt_update", ({turn_id: turnId, text}) => this.transcript.showPartial(turnId, text));
    on("speech_stopped", ({turn_id: turnId}) => {
      this.#hearing = null;
      this.#open.add(turnId);
      this.#stoppedAt.set(turnId, performance.now());
    });
    on("stt_finished", ({turn_id: turnId, text}) => {
      this.transcript.showFinal(turnId, text);
      if (!text) this.#open.delete(turnId);
    });
    on("text_stream_start", (message) => {
      this.#open.add(message.turn_id);
      this.#measureTyped(message.turn_id);
      this.notices.clear("service");
      this.transcript.startMessage(message.message_id, message.turn_id, message.character_name);
    });
    on("text_chunk", (chunk) => this.transcript.addSentence(chunk.message_id, chunk.sentence_index, chunk.text));
    on("audio_stream_start", ({turn_id: turnId, resumed}) => resumed && this.#silenced.delete(turnId));
    on("audio_complete", ({turn_id: turnId}) => this.#silenced.has(turnId) || this.player.finish());
    on("interrupted", () => this.#drop());
    on("analysis", ({turn_id: turnId, analyser, scores}) => this.transcript.addAnalysis(turnId, analyser, scores));
    on("turn_complete", (turn) => this.#endTurn(turn));
  }

  /** A turn that was not spoken is the one that was typed last. */
  #measureTyped(turnId) {
    if (this.#stoppedAt.has(turnId) || this.#typedAt === null) return;
    this.#stoppedAt.set(turnId, this.#typedAt);
    this.#typedAt = null;
  }

  #endTurn(turn) {
    this.#open.delete(turn.turn_id);
    this.transcript.endTurn(turn, this.#answeredMs.get(turn.turn_id));
    for (const kept of [this.#silenced, this.#stoppedAt, this.#answeredMs]) kept.delete(turn.turn_id);
  }

  // ---- how it looks ----

  get phase() {
    if (this.#isOpening) return "opening";
    if (this.#hearing) return "hearing";
    if (this.player.isSounding) return "speaking";
    if (this.#open.size) return "thinking";
    return this.#mode === "off" ? "idle" : "listening";
  }

  #showPhase() {
    const phase = this.phase;
    const isInterruptible = this.#mode === "hands_free" && !("interrupt_speaking_ms" in this.settings.listening);
    document.body.dataset.phase = phase;
    document.body.dataset.mode = this.#mode;
    find("hint").textContent = phase === "speaking" && isInterruptible ? INTERRUPTIBLE_HINT : HINTS[phase];
    find("talk").setAttribute("aria-pressed", String(this.#mode !== "off"));
    find("stop").disabled = phase !== "speaking" && phase !== "thinking";
    if (this.#mode === "off") find("talk").style.setProperty("--level", "0");
  }

  /** A phone that lies on the table does not go to sleep in a hands-free conversation. */
  async #keepAwake() {
    if (this.#mode !== "hands_free") {
      this.#wakeLock?.release();
      this.#wakeLock = null;
    } else if (!document.hidden && (this.#wakeLock?.released ?? true)) {
      this.#wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
    }
  }
}

function openWithToken(token) {
  const query = new URLSearchParams(location.search);
  query.set("token", token);
  location.search = query;
}

function handOnToken() {
  const token = new URLSearchParams(location.search).get("token");
  if (token) for (const link of document.querySelectorAll("a[data-token]")) link.search = new URLSearchParams({token});
}

handOnToken();
// Within reach of the browser's console, and of tests.
globalThis.earshot = new TalkPage();
globalThis.earshot.start();
