import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.backends import build_config
from app.errors import BackendUnavailable, ConfigError
from app.llm.intents import JOKES, UNKNOWN, IntentsConfig, IntentsLlm
from app.messages import Action, ChatMessage, Header, Prompt, RunningTimer
from tests.grammars import shared_grammar

HEADER = Header("kitchen", "turn-1")
PASTA = RunningTimer("pasta", 600.0, 250.0)
UNNAMED = RunningTimer("", 300.0, 61.0)
NOT_CONNECTED = "but no home is connected yet. Set the home webhook in the configuration."


def friday_evening(zone: tzinfo | None) -> datetime:
    return datetime(2026, 11, 20, 22, 35, tzinfo=zone)


def make_llm(now: Callable[[tzinfo | None], datetime] = friday_evening, **settings: object) -> IntentsLlm:
    llm = IntentsLlm(build_config(IntentsLlm.Config, settings, "llm.intents"), now)
    llm.load()
    return llm


@pytest.fixture(scope="module", autouse=True)
def _shared_grammars() -> Iterator[None]:
    """Load each grammar once, however many engines use it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.llm.intents.load_grammar", shared_grammar)
        yield


@pytest.fixture(scope="module")
def llm() -> IntentsLlm:
    return make_llm()


def ask(
    llm: IntentsLlm, text: str, *timers: RunningTimer, last_reply: str = "", header: Header = HEADER
) -> list[str | Action]:
    messages = (ChatMessage("system", "be brief"), ChatMessage("assistant", "hello"), ChatMessage("user", text))
    return list(llm.reply(Prompt(header, messages, timers=timers, last_reply=last_reply)))


REPLIES = [
    ("what time is it", "It is ten thirty five."),
    ("what date is it", "Today is Friday, November twentieth."),
    ("what day is it", "Today is Friday."),
    ("what month is it", "It is November."),
    ("what year is it", "It is twenty twenty six."),
    ("what is seven times six", "Seven times six is forty two."),
    ("ten divided by three", "Ten divided by three is about three point three three."),
    ("12.5 minus 20", "Twelve point five minus twenty is minus seven point five."),
    ("what is ten percent of two hundred", "Ten percent of two hundred is twenty."),
    ("five divided by zero", "Nothing can be divided by zero."),
    ("999999999 times 999999999", "That number is too long for me to say."),
    ("hello", "Hello. What can I do for you?"),
    ("how are you", "I am well, thank you. What can I do for you?"),
    ("thank you", "You are welcome."),
    ("good night", "Goodbye."),
    ("who are you", "I am Earshot, your voice service."),
    ("stop", "Okay."),
    ("this is a test", "I heard, this is a test. The microphone works."),
    ("wake me up at seven", "I cannot ring at a time of day yet. I can set a timer."),
    ("what is the weather", "I do not know the weather. Set the home webhook in the configuration to tell me."),
    ("play the beatles", "No music is connected yet. Set the home webhook in the configuration."),
    ("Turn on the lamp!", f"I heard, turn on the lamp, {NOT_CONNECTED}"),
    ("add milk to my shopping list", f"I heard, add milk to my shopping list, {NOT_CONNECTED}"),
    ("set a timer", "For how long? Say, set a timer for five minutes."),
    ("set a timer for 26 hours", "I can only set a timer for up to twenty four hours."),
    ("how much time is left", "No timer is running."),
    ("cancel the timer", "No timer is running."),
    ("who wrote the book", UNKNOWN),
]


@pytest.mark.parametrize(("text", "reply"), REPLIES)
def test_a_command_gets_its_short_answer(llm: IntentsLlm, text: str, reply: str) -> None:
    """Each intent is answered in one or two plain sentences, without any home or timer."""
    assert ask(llm, text) == [reply]


def test_help_names_what_can_be_asked(llm: IntentsLlm) -> None:
    """The answer to help tells of time, timers and sums."""
    (reply,) = ask(llm, "what can you do")
    assert all(word in str(reply) for word in ("time", "timers", "sums", "home"))


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_message_gets_no_answer(llm: IntentsLlm, text: str) -> None:
    """Silence is answered with silence."""
    assert ask(llm, text) == []


def test_a_prompt_without_user_message_gets_no_answer(llm: IntentsLlm) -> None:
    """Only the user's words are answered."""
    assert list(llm.reply(Prompt(HEADER, (ChatMessage("system", "what time is it"),)))) == []


def test_the_last_reply_is_said_again(llm: IntentsLlm) -> None:
    """Repeat gives what the prompt says was last spoken, and says so when there is nothing."""
    assert ask(llm, "say that again", last_reply="It is noon.") == ["It is noon."]
    assert ask(llm, "say that again") == ["I have not said anything yet."]


def test_jokes_depend_on_the_turn_only(llm: IntentsLlm) -> None:
    """The same turn always gets the same joke, and many turns get all of them."""
    told = [ask(llm, "tell me a joke", header=Header("s", f"turn-{n}")) for n in range(40)]
    assert told[:8] == [ask(llm, "tell me a joke", header=Header("s", f"turn-{n}")) for n in range(8)]
    assert {str(joke) for (joke,) in told} == set(JOKES)


@pytest.mark.parametrize(
    ("text", "name", "duration_s", "reply"),
    [
        ("set a timer for five minutes", "", 300.0, "Your timer for five minutes is running."),
        ("set a pasta timer for ten minutes", "pasta", 600.0, "Your pasta timer for ten minutes is running."),
        ("set a timer for an hour and a half", "", 5400.0, "Your timer for one hour and thirty minutes is running."),
    ],
)
def test_a_timer_is_set_and_confirmed(llm: IntentsLlm, text: str, name: str, duration_s: float, reply: str) -> None:
    """The action comes first, with name and seconds, then the confirmation."""
    assert ask(llm, text) == [act("set-timer", name=name, duration_s=duration_s), reply]


@pytest.mark.parametrize(
    ("text", "timers", "name", "reply"),
    [
        ("cancel the timer", (UNNAMED,), "", "Your timer for five minutes is cancelled."),
        ("cancel the timer", (PASTA,), "pasta", "Your pasta timer is cancelled."),
        ("cancel the pasta timer", (PASTA, UNNAMED), "pasta", "Your pasta timer is cancelled."),
        ("cancel the ten minute timer", (PASTA, UNNAMED), "pasta", "Your pasta timer is cancelled."),
        ("cancel all timers", (PASTA, UNNAMED), "", "Two timers are cancelled."),
        ("cancel all timers", (PASTA,), "", "Your pasta timer is cancelled."),
        ("cancel all timers", (), "", "No timer is running."),
    ],
)
def test_the_timer_that_is_meant_is_cancelled(
    llm: IntentsLlm, text: str, timers: tuple[RunningTimer, ...], name: str, reply: str
) -> None:
    """A timer is found by its name, its duration or by being the only one; an empty name cancels all."""
    assert ask(llm, text, *timers) == [act("cancel-timers", name=name), reply]


@pytest.mark.parametrize("text", ["cancel the timer", "cancel the five minute timer"])
def test_an_unclear_cancel_changes_nothing_and_asks(llm: IntentsLlm, text: str) -> None:
    """With several timers and no name to tell them apart, the user is asked."""
    expected = "Two timers are running. Say, cancel all timers, or say the name of one."
    assert ask(llm, text, PASTA, UNNAMED) == [expected]


def test_cancelling_a_timer_that_is_not_there_tells_which_are(llm: IntentsLlm) -> None:
    """The wrong name is corrected by telling what runs."""
    expected = "No such timer is running. Your pasta timer has four minutes and ten seconds left."
    assert ask(llm, "cancel the pizza timer", PASTA) == [expected]


@pytest.mark.parametrize(
    ("text", "timers", "reply"),
    [
        ("how much time is left", (UNNAMED,), "Your timer for five minutes has one minute and one second left."),
        (
            "how much time is left on the pasta timer",
            (PASTA, UNNAMED),
            "Your pasta timer has four minutes and ten seconds left.",
        ),
        ("timer status", (RunningTimer("tea", 7200, 3661.0),), "Your tea timer has one hour and one minute left."),
        ("timer status", (RunningTimer("tea", 60, 0.2),), "Your tea timer has one second left."),
        (
            "how much time is left",
            (PASTA, UNNAMED),
            "Two timers are running. Your timer for five minutes has one minute and one second left. "
            "Your pasta timer has four minutes and ten seconds left.",
        ),
    ],
)
def test_the_time_left_is_told(llm: IntentsLlm, text: str, timers: tuple[RunningTimer, ...], reply: str) -> None:
    """Timers are told soonest first, by name or by duration."""
    assert ask(llm, text, *timers) == [reply]


def test_the_time_is_that_of_the_configured_zone() -> None:
    """The clock is read in the operator's time zone."""
    zones: list[tzinfo | None] = []

    def now(zone: tzinfo | None) -> datetime:
        zones.append(zone)
        return friday_evening(zone)

    ask(make_llm(now, time_zone="Europe/Paris"), "what time is it")
    assert [str(zone) for zone in zones] == ["Europe/Paris"]


def test_an_unknown_time_zone_is_refused_at_load() -> None:
    """The error names the setting and its value."""
    with pytest.raises(BackendUnavailable, match=r"home.time_zone: no zone is called 'Mars/Base'"):
        make_llm(time_zone="Mars/Base")


def test_a_reply_before_load_is_refused() -> None:
    """A backend that is not loaded says so instead of failing oddly."""
    with pytest.raises(BackendUnavailable, match="not loaded"):
        ask(IntentsLlm(IntentsConfig()), "hello")


def test_a_misspelt_setting_is_refused() -> None:
    """The Config dataclass takes part in the common check of settings."""
    with pytest.raises(ConfigError, match="did you mean 'webhook_url'"):
        build_config(IntentsLlm.Config, {"webhook_ur": "http://x"}, "llm.intents")


def test_the_webhook_address_is_not_shown() -> None:
    """An address may carry a secret, so the configuration's text form leaves it out."""
    assert "secret" not in repr(IntentsConfig(webhook_url="http://home/secret"))


# ---- a home behind a real HTTP server --------------------------------------------------------------------------------


class Home(ThreadingHTTPServer):
    """Answers every POST with what the test put into `answer`; hangs when that is None."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HomeHandler)
        self.answer: tuple[int, bytes] | None = (200, b"{}")
        self.heard: list[dict[str, object]] = []
        self.is_over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/command"


class HomeHandler(BaseHTTPRequestHandler):
    server: Home

    def do_POST(self) -> None:
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.server.answer is None:
            self.server.is_over.wait()
            return
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test output quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[Home]:
    with Home() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.is_over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def home(server: Home) -> Home:
    server.answer = (200, b"{}")
    server.heard.clear()
    return server


@pytest.fixture(scope="module")
def connected(server: Home) -> IntentsLlm:
    return make_llm(webhook_url=server.url)


def test_a_home_command_is_posted_and_its_reply_spoken(home: Home, connected: IntentsLlm) -> None:
    """The home receives intent, slots, text and session, and its words become the reply."""
    home.answer = (200, json.dumps({"reply": "The lamp\n is on."}).encode())
    assert ask(connected, "Turn on the lamp") == ["The lamp is on."]
    slots = {"name": "lamp", "domain": "light"}
    assert home.heard == [{"intent": "HassTurnOn", "slots": slots, "text": "Turn on the lamp", "session": "kitchen"}]


@pytest.mark.parametrize(
    ("text", "status", "body", "reply"),
    [
        ("turn on the lamp", 200, b"{}", "Done."),
        ("turn on the lamp", 204, b"", "Done."),
        ("what is the weather", 200, b"{}", "Your home has no answer."),
        ("what is the weather", 200, b'{"reply": "Sunny."}', "Sunny."),
        ("play the beatles", 200, b'{"reply": null}', "Done."),
        ("turn on the lamp", 500, b"oops", "Your home cannot be reached, or it has a problem."),
        ("turn on the lamp", 404, b"{}", "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 302, b"", "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 200, b"<html>hello", "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 200, b"\xff\xfe\x00", "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 200, b'["reply"]', "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 200, b'{"reply": 7}', "Your home gave an answer that I do not understand."),
        ("turn on the lamp", 200, b" " * 70_000, "Your home gave an answer that I do not understand."),
    ],
)
def test_any_answer_of_the_home_becomes_an_honest_sentence(
    home: Home, connected: IntentsLlm, text: str, status: int, body: bytes, reply: str
) -> None:
    """No words, errors and garbage are all told for what they are."""
    home.answer = (status, body)
    assert ask(connected, text) == [reply]


def test_a_home_that_hangs_is_given_up(home: Home) -> None:
    """After the configured time the user hears that the home did not answer."""
    home.answer = None
    assert ask(make_llm(webhook_url=home.url, webhook_timeout_s=0.05), "turn on the lamp") == [
        "Your home did not answer in time."
    ]


def test_a_home_that_is_away_is_told() -> None:
    """A refused connection is an honest sentence, too."""
    with Home() as closed:
        url = closed.url
    assert ask(make_llm(webhook_url=url), "turn on the lamp") == ["Your home cannot be reached, or it has a problem."]


# ---- other languages -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def german() -> IntentsLlm:
    return make_llm(language="de-DE", areas=("küche",))


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("wie spät ist es", ["Es ist 22:35"]),
        ("stelle einen timer auf 5 minuten", [("set-timer", 300.0), "Timer für 5 Minuten gestartet"]),
        ("was ist die hauptstadt von frankreich", ["Entschuldigung, das habe ich nicht verstanden"]),
        ("abbrechen", []),
    ],
)
def test_another_language_answers_in_the_words_of_the_collection(
    german: IntentsLlm, text: str, reply: list[object]
) -> None:
    """Time and timers work and are told in that language; the rest is not understood, and says so."""
    got = [(a.name, a.arguments["duration_s"]) if isinstance(a, Action) else a for a in ask(german, text)]
    assert got == reply


def test_timers_in_another_language_are_told_and_cancelled(german: IntentsLlm) -> None:
    """Running timers are counted down and cancelled as in English."""
    assert ask(german, "wie lange läuft der timer noch", PASTA) == ["4 Minuten und 10 Sekunden verbleiben."]
    cancelled = ask(german, "lösche den timer", PASTA)
    assert cancelled[0] == act("cancel-timers", name="pasta")
    assert len(ask(german, "lösche den timer")) == 1


def test_a_home_command_in_another_language_is_posted(home: Home) -> None:
    """The webhook gets it, and without words of the home the collection's response is spoken."""
    llm = make_llm(language="de-DE", areas=("küche",), webhook_url=home.url)
    (reply,) = ask(llm, "schalte das licht in der küche ein")
    assert home.heard[0]["intent"] == "HassTurnOn"
    assert reply
    home.answer = (500, b"")
    assert len(ask(llm, "schalte das licht in der küche ein")) == 1


def act(action: str, /, **arguments: object) -> Action:
    return Action(HEADER, action, arguments)
