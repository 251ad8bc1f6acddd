// The talk button: a tap and a hold mean different things, with a finger, a mouse, the space bar or a screen reader.

const HOLD_MS = 300;
const TYPING = "input, textarea, select, button, a, summary, dialog";

/** Calls `onPress`, then either `onTap` or, when it is held, `onHold` and at the end `onRelease`. */
export class PressButton {
  #button;
  #calls;
  #timer = 0;
  #isPressed = false;
  #isHeld = false;

  constructor(button, calls) {
    this.#button = button;
    this.#calls = calls;
    button.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, () => this.#up());
    // Screen readers click without a pointer.
    button.addEventListener("click", (event) => event.detail === 0 && !this.#isPressed && this.#tap());
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    document.addEventListener("keydown", (event) => this.#keyDown(event));
    document.addEventListener("keyup", (event) => this.#keyUp(event));
    window.addEventListener("blur", () => this.#up());
  }

  #pointerDown(event) {
    if (event.button !== 0) return;
    this.#button.setPointerCapture(event.pointerId);
    this.#down();
  }

  #keyDown(event) {
    const isElsewhere = event.target !== this.#button && event.target.closest(TYPING);
    if (event.code !== "Space" || isElsewhere || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault(); // the button's own click, and scrolling
    if (!event.repeat) this.#down();
  }

  #keyUp(event) {
    if (event.code !== "Space" || !this.#isPressed) return;
    event.preventDefault(); // Firefox clicks now
    this.#up();
  }

  #down() {
    if (this.#isPressed) return;
    this.#isPressed = true;
    this.#calls.onPress();
    this.#timer = setTimeout(() => {
      this.#isHeld = true;
      this.#calls.onHold();
    }, HOLD_MS);
  }

  #up() {
    if (!this.#isPressed) return;
    clearTimeout(this.#timer);
    this.#isPressed = false;
    if (this.#isHeld) this.#calls.onRelease();
    else this.#calls.onTap();
    this.#isHeld = false;
  }

  #tap() {
    this.#calls.onPress();
    this.#calls.onTap();
  }
}
