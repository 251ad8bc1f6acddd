// Plain words for what goes wrong, and what to do about it.

const MICROPHONE = {
  insecure:
    "The browser gives the microphone only to pages that come over https, or from this very machine. Start the service with " +
    "“scripts/run --lan --tls” and open the https address that it shows. Until then you can type.",
  denied:
    "This page may not use the microphone. Allow it in the browser's settings for this page (the sign beside the address), " +
    "then press the button again. You can also type.",
  missing: "No microphone was found. Plug one in, then press the button again. You can also type.",
  busy: "The microphone cannot be opened; another program may be using it. Close that, then press the button again.",
  failed: "The microphone could not be started in this browser. Reload the page, or try another browser.",
  lost: "The microphone is gone: it was unplugged, or another program took it. Press the button to try again.",
};

const CONNECTION = {
  waiting: "The service cannot be reached. Trying again …",
  refused:
    "The service is there, but does not let this page connect. It may be busy; a proxy in between may not pass on WebSockets; or " +
    "server.origins must name this page's address. Trying again …",
  replaced: "This conversation goes on in another tab or on another device.",
  mistaken: "The service does not know this token. “scripts/run” shows the right one at start; whoever runs the service has it.",
  unauthorized: "This service wants a token. “scripts/run” shows it at start; whoever runs the service has it.",
};

const SERVICE = {
  overloaded: "The service is busy. Try again in a moment.",
  starting: "The service is still starting. Try again in a moment.",
  stopping: "The service is being stopped; this was not answered.",
  "rate-limited": "That was too much at once. Wait a moment.",
};

const CROSS = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="m6 6 12 12M18 6 6 18"/></svg>';

/** The bars above the talk button: one for each thing that can be wrong, gone when it is right again. */
export class Notices {
  #box;
  #shown = new Map(); // by the thing that is wrong

  constructor(box) {
    this.#box = box;
  }

  showMicrophone(code) {
    this.show("microphone", MICROPHONE[code] ?? MICROPHONE.failed);
  }

  /** action: {label, run} of a button, where something can be done about it. */
  showConnection(state, action) {
    if (CONNECTION[state]) this.show("connection", CONNECTION[state], action);
    else if (state === "open") this.clear("connection");
  }

  showError(code, message) {
    this.show("service", SERVICE[code] ?? message);
  }

  show(about, text, action) {
    if (this.#shown.get(about)?.firstChild.textContent === text) return; // a screen reader hears changes only
    this.clear(about);
    const notice = document.createElement("div");
    const words = document.createElement("p");
    notice.className = `notice about-${about}`;
    words.textContent = text;
    notice.append(words, action ? actionElement(action) : this.#closer(about));
    this.#shown.set(about, notice);
    this.#box.append(notice);
  }

  clear(about) {
    this.#shown.get(about)?.remove();
    this.#shown.delete(about);
  }

  #closer(about) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "round";
    button.setAttribute("aria-label", "Close this notice");
    button.innerHTML = CROSS;
    button.addEventListener("click", () => this.clear(about));
    return button;
  }
}

function actionElement({label, run, asks}) {
  const form = document.createElement("form");
  const button = document.createElement("button");
  button.textContent = label;
  if (asks) {
    const field = document.createElement("input");
    Object.assign(field, {type: "password", name: "answer", required: true, autocomplete: "off"});
    field.setAttribute("aria-label", asks);
    field.placeholder = asks;
    form.append(field);
  }
  form.append(button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form.elements.answer?.value);
  });
  return form;
}
