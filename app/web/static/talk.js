// The page at /: puts microphone, connection, voice and transcript together.

import {AudioOutlet} from "./audio.js";
import {Listening} from "./listening.js";
import {LiveConnection} from "./live.js";
import {isMicrophoneAllowedHere} from "./microphone.js";
import {Notices} from "./notices.js";
import {Player} from "./player.js";
import {Settings} from "./settings.js";
import {Transcript} from "./transcript.js";

const SHORT_BREAK_MS = 1500;
const HINTS = {
  idle: "Tap to talk, or hold while you speak",
  opening: "Opening the microphone …",
  listening: "Listening. Tap to stop",
  hearing: "I hear you …",
  thinking: "Thinking …",
  speaking: "Answering …",
};
const INTERRUPTIBLE_HINT = "Answering. Just speak to interrupt";
const AWAY_HINTS = {
  idle: "Not connected",
  listening: "Not connected: nothing is heard now",
};

const find = (id) => document.getElementById(id);

class TalkPage {
  audio = new AudioOutlet();
  live = new LiveConnection();
  player = new Player(this.audio);
  settings = new Settings(find("settings"), find("open-settings"));
  transcript = new Transcript(find("turns"), find("announcer"));
  notices = new Notices(find("notices"));
  listening = new Listening(find("talk"), this);
  #hearing = null; // turn_id of the utterance in progress
  #open = new Set(); // turns that wait for their answer's end
  #silenced = new Set(); // turns whose sound is not wanted any more
  #stoppedAt = new Map(); // when the utterance of a turn ended, or its text was sent
  #typedAt = null;
  #answeredMs = new Map();
  #awayTimer = 0;

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
    this.listening.addEventListener("change", () => this.#showPhase());
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
  }

  #interrupt() {
    if (!this.#open.size && !this.player.isSounding) return;
    this.#silence();
    this.live.send("interrupt");
  }

  #type(text) {
    if (!text) return false;
    if (!this.live.send("user_message", {text})) {
      if (this.live.state === "waiting") this.#explainAbsence();
      return false;
    }
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
    this.live.addEventListener("sound", ({detail}) => this.#play(detail));
    this.player.addEventListener("sentence", ({detail}) => this.#markSentence(detail));
    this.player.addEventListener("silent", () => {
      this.transcript.markSounding();
      this.#showPhase();
    });
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
      this.listening.resume();
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
    const isMistaken = state === "unauthorized" && new URLSearchParams(location.search).has("token");
    this.#explainConnection(isMistaken ? "mistaken" : state, actions[state]);
    if (state === "open") return this.#showPhase();
    this.#hearing = null;
    this.#open.clear();
    this.transcript.loseTurns();
    if (state === "replaced" || state === "unauthorized") this.#giveUp();
    this.#showPhase();
  }

  /** A short break is over before anybody has read about it. */
  #explainConnection(state, action) {
    if (state === "waiting") this.#awayTimer ||= setTimeout(() => this.#explainAbsence(), SHORT_BREAK_MS);
    if (state === "waiting" || state === "connecting") return;
    clearTimeout(this.#awayTimer);
    this.#awayTimer = 0;
    this.notices.showConnection(state, action);
  }

  #explainAbsence() {
    this.notices.showConnection(this.live.isRefused ? "refused" : "waiting");
  }

  #giveUp() {
    this.player.drop();
    this.listening.giveUp();
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
    if (this.listening.isOpening) return "opening";
    if (this.#hearing) return "hearing";
    if (this.player.isSounding) return "speaking";
    if (this.#open.size) return "thinking";
    return this.listening.mode === "off" ? "idle" : "listening";
  }

  /** Whether nobody hears what is said; the first connection of a page takes no time worth telling. */
  get isAway() {
    return this.#awayTimer !== 0 || this.live.state === "replaced" || this.live.state === "unauthorized";
  }

  #showPhase() {
    const phase = this.phase;
    const isInterruptible = this.listening.mode === "hands_free" && !("interrupt_speaking_ms" in this.settings.listening);
    document.body.dataset.phase = phase;
    document.body.dataset.mode = this.listening.mode;
    const hint = phase === "speaking" && isInterruptible ? INTERRUPTIBLE_HINT : HINTS[phase];
    find("hint").textContent = this.isAway ? AWAY_HINTS[phase] ?? hint : hint;
    find("talk").setAttribute("aria-pressed", String(this.listening.mode !== "off"));
    find("stop").disabled = phase !== "speaking" && phase !== "thinking";
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
