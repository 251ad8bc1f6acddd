// The microphone: opened when somebody wants to talk, heard as frames of PCM16, closed so that the browser's sign goes out.

/** Raised when there is no sound to be had; `code` tells why. */
export class MicrophoneError extends Error {
  constructor(code, cause) {
    super(code, {cause});
    this.code = code; // "insecure", "denied", "missing", "busy" or "failed"
  }
}

const CODES = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** Say whether the browser lets this page near a microphone at all. */
export function isMicrophoneAllowedHere() {
  return window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Tells of `frame` ({pcm16, rms}) while it is open, and of `lost` when the device goes away. */
export class Microphone extends EventTarget {
  #stream = null;
  #source = null;
  #node = null;
  #opening = null;

  get isOpen() {
    return this.#stream !== null;
  }

  /** Begin to hear; processing: echoCancellation, noiseSuppression, autoGainControl.  Raises MicrophoneError. */
  open(audio, processing) {
    this.#opening ??= this.#open(audio, processing).finally(() => { this.#opening = null; });
    return this.#opening;
  }

  async #open(audio, processing) {
    if (this.isOpen) return;
    if (!isMicrophoneAllowedHere()) throw new MicrophoneError("insecure");
    const stream = await request(processing);
    try {
      await audio.whenReady();
      this.#node = new AudioWorkletNode(audio.context, "capture", {numberOfInputs: 1, numberOfOutputs: 0});
      this.#source = audio.context.createMediaStreamSource(stream);
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      throw new MicrophoneError("failed", error);
    }
    this.#stream = stream;
    this.#node.port.onmessage = ({data}) => this.dispatchEvent(new CustomEvent("frame", {detail: data}));
    this.#source.connect(this.#node);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      this.close();
      this.dispatchEvent(new Event("lost"));
    });
    // Safari otherwise plays through the earpiece, or very quietly, while it records.
    if (navigator.audioSession) navigator.audioSession.type = "play-and-record";
  }

  close() {
    if (!this.isOpen) return;
    this.#node.port.onmessage = null;
    this.#source.disconnect();
    this.#stream.getTracks().forEach((track) => track.stop());
    this.#stream = this.#source = this.#node = null;
    if (navigator.audioSession) navigator.audioSession.type = "auto";
  }
}

async function request(processing) {
  try {
    return await navigator.mediaDevices.getUserMedia({audio: {channelCount: 1, ...processing}});
  } catch (error) {
    throw new MicrophoneError(CODES[error.name] ?? "failed", error);
  }
}
