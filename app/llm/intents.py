"""The embedded reply engine: answers commands by rule, offline and always the same way."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from app.errors import BackendError, BackendTimeout, BackendUnavailable
from app.intents.arithmetic import calculate
from app.intents.grammar import ARITHMETIC, Grammar, Intent, load_grammar, normalise
from app.intents.numbers import number_words
from app.intents.spoken import date_words, month_name, time_words, weekday_name, year_words
from app.llm.collection_replies import TIMER_INTENTS, CollectionReplies
from app.llm.timers import cancel_timer, cancel_timers, name_of, start_timer, tell_timers
from app.llm.webhook import HomeWebhook
from app.messages import Action, Prompt

JOKES = (
    "Why did the clock go to school? It wanted to learn to tell the time.",
    "What do you call a bear with no teeth? A gummy bear.",
    "Why was the math book sad? It had too many problems.",
    "What has four wheels and flies? A garbage truck.",
    "Why did the music teacher need a ladder? To reach the high notes.",
    "What do you call a sleeping bull? A bulldozer.",
    "Why did the chicken cross the road? To get to the other side.",
    "What kind of room has no doors? A mushroom.",
)
UNKNOWN = "Offline I only know simple commands. Connect a language model for open conversation."

_FIXED = {
    "Hello": "Hello. What can I do for you?",
    "HowAreYou": "I am well, thank you. What can I do for you?",
    "ThankYou": "You are welcome.",
    "Goodbye": "Goodbye.",
    "Help": "I can tell the time and the date, set timers, do sums, tell a joke, and pass commands to your home.",
    "HassNevermind": "Okay.",
    "SetAlarm": "I cannot ring at a time of day yet. I can set a timer.",
}
_QUESTIONS = {"HassGetWeather", "HassGetState", "HassClimateGetTemperature"}
_NOT_CONNECTED = {
    "HassGetWeather": "I do not know the weather. Set the home webhook in the configuration to tell me.",
    "HassMediaSearchAndPlay": "No music is connected yet. Set the home webhook in the configuration.",
}
_LONGEST_SUM = 10**15


@dataclass(frozen=True)
class IntentsConfig:
    """What the embedded reply engine knows of its home."""

    language: str = "en"
    "BCP 47 tag.  English has the full set; others have what Home Assistant's collection can parse and say."
    names: tuple[str, ...] = ()
    "Devices that can be named; empty for a few usual ones."
    areas: tuple[str, ...] = ()
    "Rooms that can be named; empty for a few usual ones."
    webhook_url: str = field(default="", repr=False)
    "Where home commands are posted as JSON {intent, slots, text, session}; empty for no home."
    webhook_timeout_s: float = 5.0
    "How long the home may take to answer, in seconds."
    time_zone: str = ""
    "IANA name such as Europe/Paris; empty for the machine's own."
    assistant_name: str = "Earshot"
    "What the voice calls itself."
    max_timer_s: float = 86_400.0
    "The longest timer that is accepted, in seconds."


class IntentsLlm:
    """Parses the user's words with the grammar and answers each intent in a sentence or two."""

    Config = IntentsConfig

    def __init__(self, config: IntentsConfig, now: Callable[[tzinfo | None], datetime] = datetime.now) -> None:
        self._config = config
        self._now = now
        self._zone: tzinfo | None = None
        self._grammar: Grammar | None = None
        self._collection: CollectionReplies | None = None
        self._home = HomeWebhook(config.webhook_url, config.webhook_timeout_s) if config.webhook_url else None

    def load(self) -> None:
        """Load and warm the grammar."""
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            self._zone = ZoneInfo(self._config.time_zone) if self._config.time_zone else None
        except (ZoneInfoNotFoundError, ValueError):
            raise BackendUnavailable(f"home.time_zone: no zone is called {self._config.time_zone!r}") from None
        self._grammar = load_grammar(self._config.language, self._config.names, self._config.areas)
        if self._grammar.language != "en":
            self._collection = CollectionReplies(self._grammar.language)

    def reply(self, prompt: Prompt) -> Iterator[str | Action]:
        """Yield the answer to the last user message: actions first, then its words; nothing for an empty message."""
        if self._grammar is None:
            raise BackendUnavailable("the embedded reply engine is not loaded")
        text = next((m.text for m in reversed(prompt.messages) if m.role == "user"), "").strip()
        if not text:
            return
        intent = self._grammar.parse(text)
        if intent is None:
            yield self._collection.sorry("no_intent") if self._collection else UNKNOWN
        elif self._collection:
            yield from filter(None, self._reply_in_other_language(self._collection, intent, text, prompt))
        else:
            yield from self._reply_in_english(intent, text, prompt)

    def close(self) -> None:
        """Forget the grammar."""
        self._grammar = None
        self._collection = None

    def _reply_in_english(self, intent: Intent, text: str, prompt: Prompt) -> Iterator[str | Action]:
        if intent.name in _FIXED:
            yield _FIXED[intent.name]
        elif intent.name == "HassStartTimer":
            yield from start_timer(prompt.header, intent.slots, self._config.max_timer_s)
        elif intent.name == "HassCancelTimer":
            yield from cancel_timer(prompt.header, intent.slots, prompt.timers)
        elif intent.name == "HassCancelAllTimers":
            yield from cancel_timers(prompt.header, prompt.timers)
        elif intent.name == "HassTimerStatus":
            yield tell_timers(prompt.timers, name_of(intent.slots))
        elif intent.name == ARITHMETIC:
            yield _tell_sum(intent)
        elif intent.name == "TellJoke":
            yield JOKES[zlib.crc32(prompt.header.turn_id.encode()) % len(JOKES)]
        elif intent.name == "Repeat":
            yield prompt.last_reply or "I have not said anything yet."
        elif intent.name == "MicrophoneCheck":
            yield f"I heard, {normalise(text)}. The microphone works."
        elif intent.name == "WhoAreYou":
            yield f"I am {self._config.assistant_name}, your voice service."
        else:
            yield self._tell_moment(intent.name) or self._ask_home(self._home, intent, text, prompt)

    def _tell_moment(self, name: str) -> str:
        now = self._now(self._zone)
        return {
            "HassGetCurrentTime": f"It is {time_words(now)}.",
            "HassGetCurrentDate": f"Today is {date_words(now)}.",
            "GetWeekday": f"Today is {weekday_name(now)}.",
            "GetMonth": f"It is {month_name(now)}.",
            "GetYear": f"It is {year_words(now.year)}.",
        }.get(name, "")

    def _ask_home(self, home: HomeWebhook | None, intent: Intent, text: str, prompt: Prompt) -> str:
        if home is None:
            heard = (
                f"I heard, {normalise(text)}, but no home is connected yet. Set the home webhook in the configuration."
            )
            return _NOT_CONNECTED.get(intent.name, heard)
        try:
            reply = home.post(_command(intent, text, prompt))
        except BackendTimeout:
            return "Your home did not answer in time."
        except BackendUnavailable:
            return "Your home cannot be reached, or it has a problem."
        except BackendError:
            return "Your home gave an answer that I do not understand."
        return reply or ("Your home has no answer." if intent.name in _QUESTIONS else "Done.")

    def _reply_in_other_language(
        self, replies: CollectionReplies, intent: Intent, text: str, prompt: Prompt
    ) -> Iterator[str | Action]:
        now = self._now(self._zone)
        if intent.name in TIMER_INTENTS:
            yield from replies.reply_about_timers(intent, prompt, now, self._config.max_timer_s)
        elif intent.name in ("HassGetCurrentTime", "HassGetCurrentDate", "HassNevermind"):
            yield replies.render(intent, now)
        elif self._home is None:
            yield replies.sorry("no_intent")
        else:
            try:
                yield self._home.post(_command(intent, text, prompt)) or replies.render(intent, now)
            except BackendError:
                yield replies.sorry("handle_error")


def _command(intent: Intent, text: str, prompt: Prompt) -> dict[str, object]:
    return {"intent": intent.name, "slots": intent.slots, "text": text, "session": prompt.header.session_id}


def _tell_sum(intent: Intent) -> str:
    left, operator, right = (intent.slots[name] for name in ("left", "operator", "right"))
    assert isinstance(left, (int, float))
    assert isinstance(right, (int, float))
    assert isinstance(operator, str)
    result = calculate(left, operator, right)
    if result is None:
        return "Nothing can be divided by zero."
    if abs(result) >= _LONGEST_SUM:
        return "That number is too long for me to say."
    rounded = round(result, 2)
    about = "" if rounded == result else "about "
    spoken = number_words(int(rounded) if rounded.denominator == 1 else float(rounded))
    return f"{number_words(left)} {operator} {number_words(right)} is {about}{spoken}.".capitalize()
