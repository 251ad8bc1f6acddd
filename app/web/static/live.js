// The connection to the service, by the contract of docs/websocket.md; it comes back by itself when it breaks.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const PROBE_TIMEOUT_MS = 5000;
const QUIET_MS = 10000; // so long nothing came: the service is asked whether it is there
const ANSWER_MS = 15000; // its answer comes behind the sound before, with which it may be late
const CLOSED_AS_REPLACED = 4001;
const SESSION_KEY = "earshot.session";

/**
 * Tells of each message by its type, with its fields as `detail`; of `sound` ({meta, pcm16}); and of `state`:
 * "connecting", "open", "waiting" (to try again), "unauthorized" or "replaced".
 */
export class LiveConnection extends EventTarget {
  #url;
  #probeUrl;
  #socket = null;
  #meta = null;
  #failures = 0;
  #timer = 0;
  #watchdog = 0;
  state = "connecting";
  isRefused = false; // the service answers, but lets no WebSocket of this page in

  constructor(page = location) {
    super();
    const asked = new URLSearchParams(page.search);
    const query = new URLSearchParams({session: asked.get("session") || sessionName()});
    if (asked.get("token")) query.set("token", asked.get("token"));
    this.#url = new URL(`ws?${query}`, page.href);
    this.#url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
    this.#probeUrl = new URL(`ready?${query}`, page.href);
    window.addEventListener("online", () => this.#hurry());
    window.addEventListener("pageshow", ({persisted}) => persisted && this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get isOpen() {
    return this.state === "open";
  }

  connect() {
    clearTimeout(this.#timer);
    this.#become("connecting");
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({data}) => socket === this.#socket && this.#receive(data);
    socket.onclose = ({code}) => this.#close(socket, code);
    this.#socket = socket;
    this.#meta = null;
    this.#watch();
  }

  /** Send a message; false where there is no connection to send it over. */
  send(type, data) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(data === undefined ? {type} : {type, data}));
    return true;
  }

  sendSound(pcm16) {
    if (this.isOpen) this.#socket.send(pcm16);
  }

  #receive(data) {
    this.#watch();
    if (data instanceof ArrayBuffer) {
      if (this.#meta) this.#tell("sound", {meta: this.#meta, pcm16: data});
      this.#meta = null;
      return;
    }
    const {type, ...detail} = JSON.parse(data);
    this.#meta = type === "audio_chunk_meta" ? detail : null;
    if (type === "ping") this.send("pong");
    if (type === "session") {
      this.#failures = 0;
      this.#become("open");
    }
    this.#tell(type, detail);
  }

  async #close(socket, code) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#watchdog);
    const wasOpen = this.isOpen;
    if (code === CLOSED_AS_REPLACED) return this.#become("replaced");
    this.#become("waiting");
    // A refused handshake tells a page nothing; another call of the same door does.
    const status = wasOpen ? 0 : await this.#probe();
    if (socket !== this.#socket) return; // another attempt was made meanwhile
    this.isRefused = status === 200;
    if (status === 401) return this.#become("unauthorized");
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    // Spread, so that all pages do not come back in the same moment after a restart.
    this.#timer = setTimeout(() => this.connect(), longest * (0.5 + Math.random() / 2));
  }

  async #probe() {
    try {
      return (await fetch(this.#probeUrl, {signal: AbortSignal.timeout(PROBE_TIMEOUT_MS)})).status;
    } catch {
      return 0;
    }
  }

  #hurry() {
    if (this.state === "waiting" && this.#failures) this.connect();
    else if (this.isOpen) this.#ask();
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#ask(), QUIET_MS);
  }

  #ask() {
    this.send("ping");
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#lose(), ANSWER_MS);
  }

  /** Let go of a connection that is dead: where the network has changed, the browser notices after minutes. */
  #lose() {
    const socket = this.#socket;
    socket.onclose = null;
    socket.close();
    this.#close(socket, 0);
  }

  #become(state) {
    this.state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }
}

/** Return the name of this tab's conversation, which outlives a reload. */
function sessionName() {
  let name = sessionStorage.getItem(SESSION_KEY);
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    name = `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    sessionStorage.setItem(SESSION_KEY, name);
  }
  return name;
}
