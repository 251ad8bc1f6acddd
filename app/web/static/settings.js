// The settings: who answers is the service's to keep, how this device listens is the browser's.

const STORE_KEY = "earshot.settings";
const PROCESSING = ["echoCancellation", "noiseSuppression", "autoGainControl"];
const CHOICES = {character: "characters", model: "models", voice: "voices"};
const PATIENCE = {
  normal: {},
  learning: {adaptive_silence: true},
  quick: {silence_ms: 350, adaptive_silence: false},
  patient: {silence_ms: 1300, adaptive_silence: false},
};

/** Tells of `choice` (for `model_settings`) and of `listening` when the microphone is to be used otherwise. */
export class Settings extends EventTarget {
  #dialog;

  constructor(dialog, opener) {
    super();
    this.#dialog = dialog;
    this.#restore();
    opener.addEventListener("click", () => dialog.showModal());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("change", ({target}) => this.#change(target));
  }

  /** What the browser does to the microphone's sound. */
  get processing() {
    return Object.fromEntries(PROCESSING.map((name) => [name, this.#field(name).checked]));
  }

  /** What `start_listening` asks for beside the mode. */
  get listening() {
    const isInterruptible = this.#field("interruptible").checked;
    return {
      ...PATIENCE[this.#field("patience").value],
      ...(isInterruptible ? {} : {interrupt_thinking_ms: 0, interrupt_speaking_ms: 0}),
    };
  }

  /** Offer what the service lists, and nothing where it lists nothing. */
  offer(session) {
    for (const [name, listed] of Object.entries(CHOICES)) {
      const names = session[listed] ?? [];
      this.#field(name).replaceChildren(new Option(this.#default(name, names), ""), ...names.map((each) => new Option(each, each)));
      this.#field(name).closest("label").hidden = names.length === 0;
    }
    this.#dialog.querySelector("#choices").hidden = Object.values(CHOICES).every((listed) => !session[listed]?.length);
    this.show(session.settings ?? {});
  }

  /** Without a choice all characters answer together. */
  #default(name, names) {
    return name === "character" && names.length > 1 ? "all of them" : "as configured";
  }

  /** Show the settings that hold. */
  show(settings) {
    for (const name of Object.keys(CHOICES)) this.#field(name).value = settings[name] ?? "";
  }

  #change(field) {
    if (field.name in CHOICES) {
      this.dispatchEvent(new CustomEvent("choice", {detail: {[field.name]: field.value || null}}));
      return;
    }
    const fields = this.#dialog.querySelectorAll("[data-kept]");
    const kept = Array.from(fields, (each) => [each.name, each.type === "checkbox" ? each.checked : each.value]);
    localStorage.setItem(STORE_KEY, JSON.stringify(Object.fromEntries(kept)));
    this.dispatchEvent(new Event("listening"));
  }

  #restore() {
    const kept = JSON.parse(localStorage.getItem(STORE_KEY) ?? "{}");
    for (const field of this.#dialog.querySelectorAll("[data-kept]")) {
      if (field.name in kept) field[field.type === "checkbox" ? "checked" : "value"] = kept[field.name];
    }
  }

  #field(name) {
    return this.#dialog.querySelector(`[name="${name}"]`);
  }
}
