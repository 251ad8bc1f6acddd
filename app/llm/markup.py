"""Markup that is taken as a whole: addresses, link targets, HTML tags and entities.

Each function stands behind the first character of its markup and takes the rest of it, or takes nothing.
"""

from __future__ import annotations

import html
import re
import string

from app.llm.characters import Lookahead, is_wide, speak_character

_MAX_TAG = 400
_MAX_ENTITY = 32
_MAX_ADDRESS = 2000
_NAME = frozenset(string.ascii_letters + string.digits)
_ADDRESS_STARTS = ("http://", "https://", "www.")
_NOT_IN_ADDRESS = frozenset(' \n"<>`\\{}^|[]')
_ADDRESS_TAIL = ".,;:!?'*_~"
"Marks that belong to the text when an address ends with them."
_TARGET = re.compile(r"\(\s*(?:<[^>]*>|\S*)(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_TAG = re.compile(r"(/?)([A-Za-z][\w:-]*)(\s[^<>]*?)?(/?)")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BREAKING_TAGS = _words(
    "br hr p div li ul ol dl dt dd table tr h1 h2 h3 h4 h5 h6 blockquote pre section article details summary"
)
_OTHER_TAGS = _words(
    "a abbr b big body center cite code del em figure font html i img ins kbd mark q s samp small span speak strike "
    "strong sub sup tbody td tfoot th thead tt u var"
)


def take_address(source: Lookahead, first: str) -> str:
    """Take an address and return its host, or take what looks like the start of one and return it.

    first: the letter before, which begins a word; it is part of what is returned.
    """
    seen = first
    while (character := source.peek()) and _starts_address(seen + character):
        seen += source.take()
    if seen.lower() not in _ADDRESS_STARTS or source.peek() not in _NAME:
        return seen
    rest = _take_rest_of_address(source)
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return host.removeprefix("www.") or rest


def _starts_address(text: str) -> bool:
    return any(start.startswith(text.lower()) for start in _ADDRESS_STARTS)


def _take_rest_of_address(source: Lookahead) -> str:
    rest: list[str] = []
    depth = 0
    while len(rest) < _MAX_ADDRESS and (character := source.peek()) and _is_in_address(character):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        rest.append(source.take())
    address = "".join(rest)
    bare = address.rstrip(_ADDRESS_TAIL)
    source.put_back(address[len(bare) :])
    return bare


def _is_in_address(character: str) -> bool:
    return character not in _NOT_IN_ADDRESS and not is_wide(character) and (character.isalnum() or character.isascii())


def take_target(source: Lookahead) -> bool:
    """Take `(target "title")` when it comes next; at the end of the text a target that was cut off counts."""
    depth = 0
    raw: list[str] = []
    while len(raw) < _MAX_ADDRESS and (character := source.peek(len(raw))) not in ("\n", "["):
        raw.append(character)
        depth += (character == "(") - (character == ")")
        if depth == 0 and (not character or not _TARGET.fullmatch("".join(raw))):
            return False
        if depth == 0 or not character:
            source.skip(len(raw))
            return True
    return False


def take_tag(source: Lookahead) -> str | None:
    """Take an HTML tag or comment; return a newline for one that breaks the line, else nothing; None for other text.

    An address in angle brackets is let come next without them.
    """
    if source.starts_with("!--"):
        return _take_comment(source)
    raw: list[str] = []
    while (character := source.peek(len(raw))) not in ("", "\n", "<", ">") and len(raw) < _MAX_TAG:
        raw.append(character)
    inner = "".join(raw)
    if character != ">" or not inner:
        return None
    if " " not in inner and (inner.startswith(_ADDRESS_STARTS) or "@" in inner):
        source.skip(len(raw) + 1)
        source.put_back(inner.removeprefix("mailto:"))
        return ""
    tag = _TAG.fullmatch(inner)
    name = tag[2].lower() if tag else ""
    is_known = name in _BREAKING_TAGS or name in _OTHER_TAGS
    if not tag or not (is_known or tag[1] or tag[4] or "=" in (tag[3] or "")):
        return None
    source.skip(len(raw) + 1)
    return "\n" if name in _BREAKING_TAGS else ""


def _take_comment(source: Lookahead) -> str:
    source.skip(3)
    while source.peek() and not source.starts_with("-->"):
        source.take()
    source.skip(3)
    return ""


def take_entity(source: Lookahead) -> str:
    """Take the rest of `&name;` and return what it stands for; empty when it is none."""
    length = 0
    while length < _MAX_ENTITY and ((character := source.peek(length)) in _NAME or character == "#"):
        length += 1
    if not length or source.peek(length) != ";":
        return ""
    raw = "&" + "".join(source.peek(i) for i in range(length + 1))
    text = html.unescape(raw)
    if text == raw:
        return ""
    source.skip(length + 1)
    return "".join(map(speak_character, text)) or " "
