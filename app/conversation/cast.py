"""Who speaks in a reply: what the language model is told about it, and how it reads what was said."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping


def write_system_prompt(base: str, speaking: Mapping[str, str]) -> str:
    """Return what the language model is told before the conversation.

    base: what holds for every reply.  speaking: who may speak in the reply, each with its own prompt.
    """
    if len(speaking) < 2:
        parts = [base, *(f"You are {name}. {prompt}".strip() for name, prompt in speaking.items())]
    else:
        first, second = itertools.islice(speaking, 2)
        cast = "\n".join(f"{name}: {prompt}".rstrip(": ") for name, prompt in speaking.items())
        parts = [
            base,
            f"You play these characters, who talk with the user and with each other:\n{cast}",
            "Answer as the one who fits best, or as several of them in turn. Begin the words of each on a new line "
            f'with the name and a colon, such as "{first}: …" and then "{second}: …". Write nothing else.',
        ]
    return "\n\n".join(filter(None, parts))


def write_script(lines: Iterable[tuple[str, str]]) -> str:
    """Return what was said as the language model is to write it: a line for each speaker in turn.

    lines: sentences, each with the character who said it; empty for nobody in particular.
    """
    runs = itertools.groupby(lines, key=lambda line: line[0])
    return "\n".join(
        f"{character}: {text}" if character else text
        for character, text in ((character, " ".join(text for _, text in run)) for character, run in runs)
    )
