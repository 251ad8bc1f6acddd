// The conversation as text: what is being heard, the answers, and which sentence is sounding.

import {describeScores, describeTimes, element} from "./details.js";

const NEAR_THE_END_PX = 120;
const ENDS = {interrupted: "interrupted", "new-utterance": "interrupted", "new-message": "interrupted"};

export class Transcript {
  #list;
  #announcer;
  #turns = new Map(); // by turn_id
  #messages = new Map(); // by message_id
  #typed = []; // what was sent and has no turn_id yet

  constructor(listElement, announcer) {
    this.#list = listElement;
    this.#announcer = announcer;
  }

  /** Show what the user typed; the next turn that was not spoken is its own. */
  addTyped(text) {
    const turn = this.#makeTurn();
    turn.isTyped = true;
    this.#showHeard(turn, text, true);
    this.#typed.push(turn);
    return turn;
  }

  /** Show that somebody is speaking. */
  startSpeech(turnId) {
    if (!this.#turns.has(turnId)) this.#turns.set(turnId, this.#makeTurn());
    this.#showHeard(this.#turns.get(turnId), "", false);
  }

  showPartial(turnId, text) {
    this.#showHeard(this.#turn(turnId), text, false);
  }

  showFinal(turnId, text) {
    const turn = this.#turn(turnId);
    if (!text) return this.#forget(turnId);
    this.#showHeard(turn, text, true);
    // The answer is heard, so a screen reader says only what was understood.
    this.#announcer.textContent = `You: ${text}`;
  }

  startMessage(messageId, turnId, characterName) {
    const turn = this.#turn(turnId);
    const bubble = element("p", "reply");
    if (characterName) bubble.append(element("b", "name", characterName));
    turn.box.insertBefore(bubble, turn.below);
    this.#messages.set(messageId, {turnId, bubble, sentences: new Map()});
  }

  addSentence(messageId, index, text) {
    const message = this.#messages.get(messageId);
    if (!message) return;
    const sentence = element("span", "sentence", text.trim());
    if (message.sentences.size) message.bubble.append(" ");
    message.bubble.append(sentence);
    message.sentences.set(index, sentence);
    this.#follow();
  }

  /** Mark the sentence that is sounding; none without arguments. */
  markSounding(messageId, index) {
    for (const each of this.#list.querySelectorAll(".sounding")) {
      each.classList.remove("sounding");
      each.classList.add("said");
    }
    this.#messages.get(messageId)?.sentences.get(index)?.classList.add("sounding");
  }

  turnOf(messageId) {
    return this.#messages.get(messageId)?.turnId;
  }

  addAnalysis(turnId, analyser, scores) {
    const turn = this.#turns.get(turnId);
    if (turn) this.#details(turn).append(describeScores(analyser, scores));
  }

  /** Show how a turn ended; answeredMs is what this page measured from the end of the speech to the first sound. */
  endTurn({turn_id: turnId, outcome, reason, heard, spoken, waterfall_ms: waterfallMs}, answeredMs) {
    const turn = this.#turns.get(turnId) ?? (heard && this.#turn(turnId));
    if (!turn) return;
    if (heard) this.#showHeard(turn, heard, true);
    if (!turn.box.querySelector(".heard, .reply")) return this.#forget(turnId);
    if (outcome === "cancelled") this.#cutOff(turnId, spoken ?? "");
    if (outcome !== "done") this.#line(turn).append(element("span", "end", ENDS[reason] ?? `${outcome}: ${reason}`));
    if (waterfallMs && Object.keys(waterfallMs).length) {
      const text = answeredMs === undefined ? "times" : `answered after ${(answeredMs / 1000).toFixed(2)} s`;
      this.#details(turn, text).prepend(describeTimes(waterfallMs));
    }
    this.#follow();
  }

  /** The connection broke: nothing more is told about the turns that are open. */
  loseTurns() {
    for (const bubble of this.#list.querySelectorAll(".heard.partial")) {
      if (bubble.textContent) bubble.classList.remove("partial");
      else bubble.closest(".turn").remove();
    }
    this.#typed = [];
    this.markSounding();
  }

  #turn(turnId) {
    if (!this.#turns.has(turnId)) this.#turns.set(turnId, this.#typed.shift() ?? this.#makeTurn());
    return this.#turns.get(turnId);
  }

  #makeTurn() {
    const turn = {box: element("li", "turn"), below: element("div", "below"), details: null};
    turn.box.append(turn.below);
    this.#list.append(turn.box);
    this.#follow();
    return turn;
  }

  #forget(turnId) {
    this.#turns.get(turnId)?.box.remove();
    this.#turns.delete(turnId);
  }

  #showHeard(turn, text, isFinal) {
    let bubble = turn.box.querySelector(".heard");
    if (!bubble) {
      bubble = element("p", "heard");
      turn.box.prepend(bubble);
    }
    bubble.textContent = text;
    bubble.classList.toggle("partial", !isFinal);
    this.#follow();
  }

  /** Strike what was not heard of a reply: all behind the words that were really played. */
  #cutOff(turnId, spoken) {
    let left = spoken.trim();
    for (const message of this.#messages.values()) {
      if (message.turnId !== turnId) continue;
      for (const sentence of message.sentences.values()) {
        const text = sentence.textContent;
        const n = left.startsWith(text) ? text.length : commonLength(text, left);
        left = left.slice(n).trimStart();
        sentence.replaceChildren(text.slice(0, n), ...(n < text.length ? [element("span", "unheard", text.slice(n))] : []));
      }
    }
  }

  #line(turn) {
    if (!turn.line) {
      turn.line = element("p", "line");
      turn.below.prepend(turn.line);
    }
    return turn.line;
  }

  #details(turn, summary) {
    if (!turn.details) {
      turn.details = element("details");
      turn.details.append(element("summary", "", "heard in the voice"), element("div", "figures"));
      turn.below.append(turn.details);
    }
    if (summary) turn.details.firstChild.textContent = summary;
    return turn.details.lastChild;
  }

  /** Keep the newest in sight, unless the reader has gone up to read. */
  #follow() {
    const pane = this.#list.parentElement;
    const left = pane.scrollHeight - pane.scrollTop - pane.clientHeight;
    if (left < NEAR_THE_END_PX + pane.clientHeight / 2) pane.scrollTop = pane.scrollHeight;
    pane.classList.toggle("empty", this.#list.childElementCount === 0);
  }
}

function commonLength(a, b) {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
