"""The page at / in a real browser without a screen, its microphone fed from a file, in front of a scripted service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import (
    FAKE_MICROPHONE,
    SPEECH_RATE_HZ,
    OpenPage,
    Samples,
    needs_chromium,
    pages_opened,
    recorded,
    resample,
    running_driver,
    similarity,
    type_message,
    wait_for_phase,
    wait_until_connected,
    write_microphone,
)
from tests.standins.live_server import REPLY_RATE_HZ, LiveStandIn, Script

pytestmark = [pytest.mark.process, needs_chromium]


@pytest.fixture
def script() -> Script:
    """Say how the service behaves."""
    return Script()


@pytest.fixture
def live(script: Script) -> Iterator[LiveStandIn]:
    """Run the service that the page talks to."""
    with LiveStandIn(script) as standin:
        yield standin


@pytest.fixture
def page_url(live: LiveStandIn) -> str:
    """Give the address that the browser opens."""
    return f"{live.url}/"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Run what drives browsers."""
    with running_driver() as running:
        yield running


@pytest.fixture
def open_page(driver: Any, page_url: str) -> Iterator[OpenPage]:
    """Give a function that opens the page."""
    with pages_opened(driver, page_url) as open_one:
        yield open_one


def speech(seconds: float, *bursts_s: tuple[float, float]) -> Samples:
    """Return silence with something loud, from -20 to 20 thousand, where a burst begins and ends."""
    times = np.arange(round(seconds * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
    noise = np.random.default_rng(3).standard_normal(len(times))
    smooth = np.convolve(noise, np.hanning(24), "same")
    is_loud = np.any([(times >= begin) & (times < end) for begin, end in bursts_s], axis=0)
    return smooth / np.abs(smooth).max() * 20_000 * is_loud


@pytest.fixture
def microphone(tmp_path: Path) -> Callable[[Samples], Path]:
    """Give a function that makes the file which the browser takes for its microphone."""
    return lambda samples: write_microphone(tmp_path / "microphone.wav", samples)


# ---- speaking and listening ------------------------------------------------------------------------------------------


def test_what_is_spoken_is_shown(
    open_page: OpenPage, live: LiveStandIn, script: Script, microphone: Callable[[Samples], Path]
) -> None:
    """One tap lets the microphone through as it is, and the words appear: first some, then all, then the answer."""
    spoken = speech(8, (0.6, 1.4))
    page = open_page(microphone(spoken))
    page.click("#talk")
    page.wait_for_function("document.querySelector('.heard.partial')?.textContent === 'what time'")
    page.wait_for_function(f"document.querySelector('.heard:not(.partial)')?.textContent === '{script.transcript}'")
    page.wait_for_selector(f"text={script.sentences[-1]}")
    assert live.received[0] == {"type": "start_listening", "data": {"rate": SPEECH_RATE_HZ, "mode": "hands_free"}}
    heard = np.frombuffer(bytes(live.heard_pcm16), "<i2").astype(float)
    # In pieces, because the browser's own fake microphone may slip on a busy machine.
    pieces = np.split(spoken[round(0.6 * SPEECH_RATE_HZ) : round(1.4 * SPEECH_RATE_HZ)], 8)
    assert np.median([similarity(heard, piece) for piece in pieces]) > 0.95


def test_the_answer_is_heard(open_page: OpenPage, live: LiveStandIn, script: Script) -> None:
    """The whole answer sounds without gaps, and each sentence is marked while it does."""
    page = open_page()
    wait_until_connected(page)
    page.evaluate("""() => {
      globalThis.marked = [];
      earshot.player.addEventListener("sentence", () => marked.push(document.querySelector(".sounding").textContent));
    }""")
    with recorded(page) as read:
        type_message(page, "What time is it?")
        page.wait_for_selector("text=answered after")
        wait_for_phase(page, "idle")
        recording = read()
    sent = np.frombuffer(live.reply_pcm16, "<i2").astype(float) / 32768
    assert similarity(recording.voice, resample(sent, REPLY_RATE_HZ, recording.rate)) > 0.99
    assert page.evaluate("marked") == list(script.sentences)
    assert page.query_selector(".sounding") is None


def test_speaking_over_the_answer_silences_it(open_page: OpenPage, microphone: Callable[[Samples], Path]) -> None:
    """From `interrupted` on the voice is silent, and what was not heard is shown as such."""
    page = open_page(microphone(speech(12, (0.6, 1.0), (2.6, 3.4))))
    page.click("#talk")
    with recorded(page) as read:
        page.wait_for_selector(".unheard")
        wait_for_phase(page, "speaking")
        recording = read()
    heard, rate = recording.voice, recording.rate
    at = recording.sample_at(page.evaluate("interruptedAt"))
    assert np.abs(heard[at - rate // 5 : at]).max() > 0.1
    assert np.abs(heard[at + rate // 10 : at + rate // 2]).max() == 0
    assert page.inner_text(".line") == "interrupted"


def test_the_stop_button_silences_the_answer(open_page: OpenPage, live: LiveStandIn) -> None:
    """The voice stops, the service is told, and what it had already sent is not heard."""
    page = open_page()
    wait_until_connected(page)
    with recorded(page) as read:
        type_message(page, "Tell me a story")
        wait_for_phase(page, "speaking")
        page.click("#stop")
        page.wait_for_selector(".unheard")
        page.wait_for_function("() => interruptedAt + 0.3 < earshot.audio.context.currentTime")
        recording = read()
    assert live.received[-1] == {"type": "interrupt"}
    after = recording.sample_at(page.evaluate("interruptedAt") + 0.1)
    assert np.abs(recording.voice[after:]).max() == 0


def test_holding_the_space_bar_is_push_to_talk(open_page: OpenPage, live: LiveStandIn) -> None:
    """The utterance begins with the key and ends when it is let go; a screen reader hears the words."""
    page = open_page()
    wait_until_connected(page)
    page.keyboard.down("Space")
    page.wait_for_selector("body[data-mode=push_to_talk][data-phase=hearing]")
    page.keyboard.up("Space")
    wait_for_phase(page, "speaking")
    assert [message["type"] for message in live.received] == ["start_listening", "stop_listening"]
    assert live.received[0]["data"]["mode"] == "push_to_talk"
    assert page.inner_text("#announcer") == "You: what time is it"


def test_a_typed_message_is_answered(open_page: OpenPage, live: LiveStandIn) -> None:
    """Enter sends what was typed, shows it, and empties the field."""
    page = open_page()
    wait_until_connected(page)
    type_message(page, "  What <b>day</b> is it?  ")
    page.wait_for_selector(".reply")
    assert live.received == [{"type": "user_message", "data": {"text": "What <b>day</b> is it?"}}]
    assert page.inner_text(".heard") == "What <b>day</b> is it?"
    assert page.input_value("#text") == ""


def test_the_resampler_keeps_out_what_does_not_fit(open_page: OpenPage) -> None:
    """From 48 to 16 kHz a tone of 1 kHz is kept to a thousandth, and one of 10 kHz is gone."""
    page = open_page()
    levels = page.evaluate("""async () => {
      const {Resampler} = await import("/static/resampler.js");
      return [1000, 10000].map((hz) => {
        const resampler = new Resampler(48000, 16000);
        const tone = Float32Array.from({length: 128 * 100}, (_, i) => Math.sin(2 * Math.PI * hz * i / 48000));
        const heard = [];
        for (let at = 0; at < tone.length; at += 128) heard.push(...resampler.push(tone.subarray(at, at + 128)));
        return Math.max(...heard.slice(200).map(Math.abs));
      });
    }""")
    assert levels[0] == pytest.approx(1, abs=0.001)
    assert levels[1] < 0.001


# ---- choices ---------------------------------------------------------------------------------------------------------


class TestChoices:
    """What the service offers."""

    @pytest.fixture
    def script(self) -> Script:
        """Offer characters and nothing else."""
        return Script(character_name="Ada", session={"characters": ["Ada", "Grandfather"]})

    def test_who_answers_can_be_chosen(self, open_page: OpenPage, live: LiveStandIn) -> None:
        """What the service lists is offered and sent, what it does not list is not shown; names stand at replies."""
        page = open_page()
        wait_until_connected(page)
        page.click("#open-settings")
        page.select_option("[name=character]", "Grandfather")
        assert not page.is_visible("[name=voice]")
        page.keyboard.press("Escape")
        type_message(page, "Hello")
        page.wait_for_selector("text=Ada")
        assert live.received[0] == {"type": "model_settings", "data": {"character": "Grandfather"}}


def test_what_the_browser_keeps_reaches_the_service(open_page: OpenPage, live: LiveStandIn) -> None:
    """The settings of listening are those of the last visit."""
    page = open_page(patience="quick", interruptible=False)
    wait_until_connected(page)
    page.click("#talk")
    wait_for_phase(page, "listening")
    assert live.received[0]["data"] == {
        "rate": SPEECH_RATE_HZ,
        "mode": "hands_free",
        "silence_ms": 350,
        "adaptive_silence": False,
        "interrupt_thinking_ms": 0,
        "interrupt_speaking_ms": 0,
    }


# ---- when something is wrong -----------------------------------------------------------------------------------------


def test_a_refused_microphone_is_explained(open_page: OpenPage, live: LiveStandIn) -> None:
    """Without the permission the page says what to do, and does not pretend to listen."""
    page = open_page(flags=("--use-fake-device-for-media-stream", "--deny-permission-prompts"))
    page.click("#talk")
    page.wait_for_selector(".notice >> text=may not use the microphone")
    wait_for_phase(page, "idle")
    assert page.get_attribute("#talk", "aria-pressed") == "false"
    assert live.received[-1] == {"type": "stop_listening"}


def test_a_missing_microphone_is_explained(open_page: OpenPage) -> None:
    """On a machine without a microphone the page says so."""
    page = open_page(flags=("--use-fake-ui-for-media-stream",))
    devices = page.evaluate("navigator.mediaDevices.enumerateDevices()")
    if any(device["kind"] == "audioinput" for device in devices):
        pytest.skip("this machine has a microphone")
    page.click("#talk")
    page.wait_for_selector(".notice >> text=No microphone was found")


def test_an_insecure_page_says_what_to_do(open_page: OpenPage, page_url: str) -> None:
    """Over plain HTTP from another machine the page names the way to https, and typed messages are still answered."""
    page = open_page(flags=(*FAKE_MICROPHONE, "--host-resolver-rules=MAP earshot.test 127.0.0.1"))
    page.goto(page_url.replace("127.0.0.1", "earshot.test"))
    page.wait_for_selector(".notice >> text=scripts/run --lan --tls")
    wait_until_connected(page)
    type_message(page, "What time is it?")
    wait_for_phase(page, "speaking")
    page.wait_for_function("""() => {
      const {audio, player} = earshot;
      globalThis.meter ??= audio.context.createAnalyser();
      player.output.connect(meter);
      const samples = new Float32Array(meter.fftSize);
      meter.getFloatTimeDomainData(samples);
      return Math.max(...samples) > 0.1;
    }""")
    page.click("#stop")
    page.wait_for_selector(".unheard")
    assert not page.evaluate("earshot.player.isSounding")


def test_the_page_comes_back_after_a_restart(open_page: OpenPage, live: LiveStandIn) -> None:
    """When the service was away, the page says so, connects again and goes on listening."""
    page = open_page()
    wait_until_connected(page)
    page.click("#talk")
    wait_for_phase(page, "listening")
    live.stop()
    page.wait_for_selector(".notice >> text=cannot be reached")
    assert page.inner_text("#hint") == "Not connected: nothing is heard now"
    live.start()
    wait_until_connected(page)
    # Its fake microphone beeps, so that speech may have begun.
    page.wait_for_selector("#hint >> text=/Listening|I hear you/")
    page.wait_for_selector(".about-connection", state="detached")
    type_message(page, "Are you there?")
    page.wait_for_selector(".reply")
    kinds = [message["type"] for message in live.received]
    assert kinds == ["start_listening", "start_listening", "user_message"]


def test_a_connection_that_is_dead_is_made_anew(open_page: OpenPage, live: LiveStandIn) -> None:
    """A service that is silent is asked whether it is there; one that does not answer is looked for again."""
    page = open_page()
    page.clock.install()
    page.reload()
    wait_until_connected(page)
    page.evaluate("() => {globalThis.n = 0; earshot.live.addEventListener('pong', () => n++)}")
    page.clock.fast_forward(11_000)
    page.wait_for_function("n === 1")
    page.clock.fast_forward(9_000)
    live.is_cut_off = True
    page.clock.fast_forward(2_000)
    page.clock.fast_forward(16_000)
    page.wait_for_selector("body[data-connection=waiting]")
    live.is_cut_off = False
    page.clock.fast_forward(1_000)
    wait_until_connected(page)
    assert [message["type"] for message in live.received] == ["ping", "ping"]


def test_a_page_that_was_replaced_stays_away(open_page: OpenPage, live: LiveStandIn) -> None:
    """It does not fight with the newer one, until the user says so."""
    page = open_page()
    wait_until_connected(page)
    live.replace()
    page.wait_for_selector("text=goes on in another tab")
    assert len(live.connections) == 1
    page.click("text=Continue here")
    wait_until_connected(page)


def test_an_error_is_shown_in_plain_words(open_page: OpenPage, live: LiveStandIn) -> None:
    """What the service refuses is told, and gone when the user has read it."""
    page = open_page()
    wait_until_connected(page)
    live.tell("error", code="overloaded", message="too many turns")
    page.wait_for_selector(".notice >> text=The service is busy")
    page.click("[aria-label='Close this notice']")
    page.wait_for_selector(".notice", state="detached")


class TestTokens:
    """A service that lets nobody in."""

    @pytest.fixture
    def script(self) -> Script:
        """Refuse every handshake."""
        return Script(refuses=401)

    def test_a_missing_token_is_asked_for(self, open_page: OpenPage, live: LiveStandIn) -> None:
        """The page asks for the token, and hands it on in its own address."""
        page = open_page()
        page.fill("input[name=answer]", "let-me-in")
        page.click(".notice button")
        page.wait_for_url("**/?token=let-me-in")
        assert page.get_attribute("nav a", "href") is not None
        assert page.evaluate("document.querySelector('nav a').search") == "?token=let-me-in"
        page.wait_for_selector(".notice >> text=does not know this token")


def test_the_page_asks_nobody_else(open_page: OpenPage, page_url: str) -> None:
    """Everything that the page loads comes from the service itself."""
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    wait_until_connected(page)
    assert asked
    assert [url for url in asked if not url.startswith((page_url, "data:"))] == []


class TestRefusal:
    """A service that answers, and refuses every WebSocket."""

    @pytest.fixture
    def script(self) -> Script:
        """Refuse as one does whose list of origins lacks the page."""
        return Script(refuses=403)

    def test_a_refused_page_says_what_may_be_wrong(self, open_page: OpenPage) -> None:
        """The page tells a service that refuses it from one that is away."""
        page = open_page()
        page.wait_for_selector(".notice >> text=server.origins")
