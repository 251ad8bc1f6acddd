"""What can be said: sentence templates, the parse of a text into an intent, and sentences for the recogniser."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from app.errors import BackendUnavailable
from app.intents import english, home_assistant
from app.intents.arithmetic import parse_arithmetic, sample_sums
from app.intents.numbers import number_words
from app.intents.sampling import Sampler

ARITHMETIC = "Arithmetic"
_MAX_CHARS = 300
_MAX_FORMS = 6
_N_SUMS = 1500
_USUAL_WEIGHT = 4
_POLITENESS = 0.2
_PUNCTUATION = re.compile(r"(?<!\d)[.,](?=\d)|[.,](?!\d)|[!?;:\"“”„…()\[\]¿¡]")
_DIGIT = re.compile(r"\d")
_LEADING = re.compile(rf"^(?:{'|'.join(english.LEADING_FILLERS)}) ")
_TRAILING = re.compile(rf"(?: (?:{'|'.join(english.TRAILING_FILLERS)}))+$")
_UNSPOKEN = re.compile(r"[^\w' ]+|_")


@dataclass(frozen=True)
class Intent:
    """What the user wants."""

    name: str
    "An intent of Home Assistant (`HassTurnOn`) or one of ours (`TellJoke`)."
    slots: dict[str, object] = field(default_factory=dict)
    "What was filled in: numbers as numbers, everything else as text."
    response: str = ""
    "Which of the collection's responses belongs to the sentence."


class Grammar:
    """Sentence templates of one language, ready to parse and to sample; safe to use from several threads."""

    def __init__(self, language: str, parts: Iterable[Any], slot_lists: dict[str, Any]) -> None:
        """parts: hassil Intents, in the order in which they are tried."""
        self.language = language
        self._parts = tuple(parts)
        self._slot_lists = slot_lists
        self._names_by_domain: dict[tuple[str | None, ...], Any] = {}
        self._is_english = language == "en"

    def parse(self, text: str) -> Intent | None:
        """Return what the text asks for, or None when it is no sentence of this grammar.

        Case, punctuation and polite words around the sentence do not matter; every other word does.
        """
        if len(text) > _MAX_CHARS:
            return None
        text = normalise(text)
        forms = islice(_bare_forms(text), _MAX_FORMS) if self._is_english else [text]
        return next((intent for form in forms if (intent := self._parse_exact(form))), None)

    def sample_sentences(self, limit_per_template: int = 24, seed: int = 1) -> list[str]:
        """Return spoken sentences, lower case, numbers as words: what a recogniser should expect to hear.

        Every template is spoken `limit_per_template` times and the usual commands more often, so sentences repeat:
        their counts are how likely they are.  The same arguments always give the same list.
        """
        rng = random.Random(seed)
        sampler = Sampler(self.language, rng, english.SAMPLE_VALUES if self._is_english else {})
        sentences = [s for part in self._parts for s in self._sample_part(part, sampler, limit_per_template)]
        if self._is_english:
            usual = _own_part({"Usual": list(english.USUAL_SENTENCES)})
            sentences += self._sample_part(usual, sampler, _USUAL_WEIGHT * limit_per_template)
            sentences += sample_sums(_N_SUMS, rng)
            sentences = [_polite(sentence, rng) for sentence in sentences]
        return [_spoken(sentence) for sentence in sentences if not _DIGIT.search(sentence)]

    def _parse_exact(self, text: str) -> Intent | None:
        from hassil import recognize_best

        if self._is_english and (arithmetic := parse_arithmetic(text)):
            return Intent(ARITHMETIC, dict(zip(("left", "operator", "right"), arithmetic, strict=True)))
        for part in self._parts:
            result = recognize_best(text, part, slot_lists=self._slot_lists, best_slot_name="name")
            if result is not None:
                slots = {name: _clean(entity.value) for name, entity in result.entities.items()}
                if "domain" in result.context:
                    slots.setdefault("domain", result.context["domain"])
                return Intent(result.intent.name, slots, result.response or "")
        return None

    def _sample_part(self, part: Any, sampler: Sampler, n_per_template: int) -> Iterator[str]:
        for intent in part.intents.values():
            for block in intent.data:
                names = self._names_of(block.requires_context.get("domain"))
                lists = {**part.slot_lists, **self._slot_lists, "name": names, **block.slot_lists}
                rules = {**part.expansion_rules, **block.expansion_rules}
                for sentence in block.sentences:
                    if sampler.can_speak(sentence, lists, rules):
                        for _ in range(n_per_template):
                            yield sampler.speak(sentence.expression, lists, rules)

    def _names_of(self, domains: Any) -> Any:
        """Return the list of the names that a sentence about these domains may use."""
        allowed = domains if isinstance(domains, list) else [domains]
        key = tuple(allowed)
        if key not in self._names_by_domain:
            every = self._slot_lists["name"]
            fitting = [v for v in every.values if domains is None or v.context["domain"] in allowed]
            self._names_by_domain[key] = replace(every, values=fitting)
        return self._names_by_domain[key]


def load_grammar(language: str = "en", names: tuple[str, ...] = (), areas: tuple[str, ...] = ()) -> Grammar:
    """Load the sentences of a language and warm them up.

    names, areas: devices and rooms of the home; without any, English takes a few usual ones.
    Raises BackendUnavailable when there are no sentences in that language.
    """
    from hassil import Intents

    language, collection = load_collection(language)
    is_english = language == "en"
    names = names or (english.DEFAULT_NAMES if is_english else ())
    areas = areas or (english.DEFAULT_AREAS if is_english else ())
    own_first = frozenset({"HassStartTimer", "HassCancelTimer", "HassCancelAllTimers", "HassTimerStatus"})
    chosen = home_assistant.select_intents(collection, skipped=own_first if is_english else frozenset())
    parts = [Intents.from_dict({**collection, "intents": chosen})]
    if is_english:
        parts = [_own_part(english.INTENTS), *parts, _own_part(english.LAST_INTENTS)]
    grammar = Grammar(language, parts, _slot_lists(names, areas))
    for text in ("turn on the light", "set the light to 20 %", "set a timer for 1 hour", "unknown words"):
        grammar.parse(text)
    return grammar


def load_collection(language: str) -> tuple[str, dict[str, Any]]:
    """Return Home Assistant's collection for a BCP 47 tag, or for its language alone, and the tag it is known by.

    Raises BackendUnavailable when there is none.
    """
    from home_assistant_intents import get_intents, get_languages

    for known in (language, language.split("-")[0].lower()):
        if known in get_languages() and (collection := get_intents(known)):
            return known, collection
    known_languages = ", ".join(sorted(get_languages()))
    raise BackendUnavailable(f"home.language: there are no sentences in {language!r}; known are {known_languages}")


def normalise(text: str) -> str:
    """Return the text in lower case, without punctuation, one space between words."""
    return " ".join(_PUNCTUATION.sub(" ", text.lower().replace("’", "'").replace("%", " % ")).split())


def _own_part(templates: dict[str, list[str]]) -> Any:
    from hassil import Intents

    intents = {name: {"data": [{"sentences": sentences}]} for name, sentences in templates.items()}
    skip_words = ["please", "can you", "could you", "would you", "will you", "for me", "i'd like to", "i want to"]
    return Intents.from_dict(
        {
            "language": "en",
            "intents": intents,
            "lists": english.LISTS,
            "expansion_rules": english.RULES,
            "skip_words": skip_words,
        }
    )


def _slot_lists(names: tuple[str, ...], areas: tuple[str, ...]) -> dict[str, Any]:
    from hassil.intents import TextSlotList

    by_domain = [
        (form, name, {"domain": domain})
        for name in names
        for form in _name_forms(name)
        for domain in home_assistant.domains_of(form)
    ]
    rooms = [(form, area) for area in areas for form in _name_forms(area)]
    return {
        "name": TextSlotList.from_tuples(by_domain, allow_template=False, name="name"),
        "area": TextSlotList.from_tuples(rooms, allow_template=False, name="area"),
        "floor": TextSlotList.from_strings((), name="floor"),
    }


def _name_forms(name: str) -> list[str]:
    """Return how a configured name is written in a text, with figures and with number words; nothing for a blank."""
    figures = normalise(name)
    words = re.sub(r"\d+", lambda match: number_words(int(match[0])), figures)
    return [form for form in dict.fromkeys((figures, words)) if form]


def _bare_forms(text: str) -> Iterator[str]:
    """Yield the text as it is, then without polite words in front, one by one, then without those at its end too."""
    for form in dict.fromkeys((text, _TRAILING.sub("", text))):
        while form:
            yield form
            form = rest if (rest := _LEADING.sub("", form)) != form else ""


def _clean(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


def _polite(sentence: str, rng: random.Random) -> str:
    sentence = sentence.strip()
    frames = english.POLITE_REQUESTS if sentence.partition(" ")[0] in english.REQUEST_VERBS else english.POLITE_FRAMES
    return rng.choice(frames).format(sentence) if rng.random() < _POLITENESS else sentence


def _spoken(sentence: str) -> str:
    return " ".join(_UNSPOKEN.sub(" ", sentence.lower().replace("%", " percent ")).split())
