"""Text deltas to sentences: the pieces that TTS speaks, each given out as early as it is certain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.llm.characters import Lookahead, extends_cluster, is_wide
from app.llm.markdown import spoken_text

_ASCII_ENDS = frozenset(".!?…")
_OTHER_ENDS = frozenset("‼⁇⁈⁉؟۔।॥")
_WIDE_ENDS = frozenset("。！？；．｡")
_ENDS = _ASCII_ENDS | _OTHER_ENDS | _WIDE_ENDS
_WIDE_CLOSERS = frozenset("”’」』）】》〉｝］)]")
_CLOSERS = _WIDE_CLOSERS | frozenset("\"'»«›‹“‘}")
_OPENERS = frozenset("\"'“‘«‹»›„‚([{「『（【《〈｛［¿¡")
_CLAUSE_ENDS = frozenset(",;:")
_WIDE_CLAUSE_ENDS = frozenset("，、：；､")
_DASHES = frozenset("—–")
_GOES_ON = frozenset(",;:.!?…)]}%&/=+—–-") | _WIDE_CLAUSE_ENDS
"What follows a full stop and a space, or a closing quote, only when the sentence is not over."


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(
    "mr mrs ms mx dr prof st rev gen col capt cpt lt sgt maj hon pres gov sen rep messrs mme mlle mgr hr fr sr sra "
    "srta dra dña ud uds ing dipl e.g i.e eg ie vs cf viz approx ca resp incl excl esp mt z.b d.h u.a o.ä s.o p.ex bzw "
    "ggf evtl inkl zzgl sog vgl av bd núm"
)
_BEFORE_NUMBER = _words("no nos nr fig figs vol ch sec art p pp pg s v ver eq cap pág tel op tab abb kap ft")
_SELDOM_LAST = _words("inc ltd co corp jr bros ph.d al jan feb mar apr aug sep sept oct nov dec")
"These, initials and small numbers are last only before a word that sentences start with."
_INITIALS = re.compile(r"[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_]|\d{1,2}")
_LABEL = re.compile(r"\(?(?:(?:\d{1,3}\.)*\d{1,3}|[A-Za-z]|[ivxIVX]{1,4}|[一二三四五六七八九十]{1,3})\.")
"The number of a list item, which stays with its text."
_SENTENCE_STARTS = _words(
    "a all also an and are as at but can did do does each for from have he her here his how however i if in is it "
    "its just let many maybe most my next no not now of ok okay on once one or our please she so some sure such that "
    "the their then there these they this those to we what when where which while who why will with yes you your "
    "aber als auch auf bei da das dann der die ein eine er es für ich ihr im ist ja mit nach nein sie so und von was "
    "wenn wer wie wir zu cela ce ces cette dans des elle en et il ils je la le les mais nous on pour puis si tu un une "
    "vous con de del ella ellos el ese esta este los las para pero por que se sin su uno una y yo"
)


def split_sentences(deltas: Iterable[str], *, first_min_chars: int = 24, max_chars: int = 240) -> Iterator[str]:
    """Yield the pieces of a Markdown text that are spoken one by one; the same however the text is cut into deltas.

    first_min_chars: the first piece may end at a clause mark from this length on, so that speech starts early; a
    Chinese or Japanese character counts three, because it takes about as long to say as three letters.
    max_chars: no piece is longer; a longer sentence is cut at a clause mark, else between words, else between
    characters.  A failure of `deltas` is raised at once, and the piece under way is not yielded.
    """
    if max_chars < 1 or first_min_chars < 0:
        raise ValueError(f"max_chars is {max_chars}, first_min_chars is {first_min_chars}; at least 1 and 0 are needed")
    yield from _Splitter(spoken_text(deltas), first_min_chars, max_chars).pieces()


class _Splitter:
    """Takes characters into the piece under way and looks ahead only where an end needs it."""

    def __init__(self, characters: Iterator[str], first_min_chars: int, max_chars: int) -> None:
        self._source = Lookahead(characters)
        self._first_min_chars = first_min_chars
        self._max_chars = max_chars
        self._piece: list[str] = []
        self._is_first = True
        self._quote_is_open = False
        "Whether a straight quote of this paragraph was opened in an earlier piece."
        self._has_guillemets = False
        self._has_capitals = False
        "Some people and models write all in lower case; then a sentence may start so."

    def pieces(self) -> Iterator[str]:
        while self._source.peek():
            self._read_piece()
            text = "".join(self._piece).strip()
            if any(map(str.isalnum, text)):
                yield text
                self._is_first = False
            if text.count('"') % 2:
                self._quote_is_open = not self._quote_is_open
            self._has_guillemets = self._has_guillemets or "«" in text
            self._has_capitals = self._has_capitals or any(map(str.isupper, text))
            self._piece = []

    def _read_piece(self) -> None:
        piece, take = self._piece, self._source.take
        while character := take():
            if character == "\n":
                self._end_line()
                return
            if character == " " and not piece:
                continue
            piece.append(character)
            if len(piece) > self._max_chars:
                self._cut_long()
                return
            if character in _ENDS:
                if self._ends_sentence():
                    return
            elif self._is_first and self._ends_clause(character):
                return

    def _end_line(self) -> None:
        if self._piece:
            self._source.put_back("\n")
        else:
            self._quote_is_open = self._has_guillemets = False

    def _ends_sentence(self) -> bool:
        """Take the rest of a run of end marks and the closing quotes; say whether the sentence is over."""
        piece, source = self._piece, self._source
        start = len(piece) - 1
        while source.peek() in _ENDS and len(piece) < self._max_chars:
            piece.append(source.take())
        run = "".join(piece[start:])
        is_wide_end = any(c in _WIDE_ENDS for c in run)
        stop = len(piece)
        while self._closes(source.peek(), is_wide_end) and len(piece) < self._max_chars:
            piece.append(source.take())
        self._take_guillemet()
        if source.peek() in ("", "\n"):
            return True
        if not any(map(str.isalnum, piece)):
            return False
        is_quoted = len(piece) > stop
        if is_wide_end or is_wide(source.peek()):
            return self._ends_before_wide(run, start, is_quoted)
        if source.peek() in "¿¡" or (source.peek().isupper() and set(run) - set(".…")):
            return True
        if source.peek() != " ":
            return False
        if run == ".":
            return self._stop_ends(start)
        if is_quoted or not set(run) - set(".…"):
            return self._follows_new_sentence()
        return True

    def _closes(self, character: str, is_wide_end: bool) -> bool:
        if not is_wide_end:
            return character in _CLOSERS
        if character == '"':
            return ("".join(self._piece).count('"') % 2 == 1) != self._quote_is_open
        return character in _WIDE_CLOSERS

    def _take_guillemet(self) -> None:
        """Take a French closing quote, which stands apart from the sentence that it closes."""
        source = self._source
        if len(self._piece) + 2 > self._max_chars or not (self._has_guillemets or "«" in self._piece):
            return
        if source.starts_with(" »") and not source.peek(2).isalnum():
            self._piece += [source.take(), source.take()]

    def _ends_before_wide(self, run: str, start: int, is_quoted: bool) -> bool:
        after = self._source.peek()
        if after in _WIDE_CLAUSE_ENDS or after in _CLAUSE_ENDS:
            return False
        if is_quoted and (after in "とっ" or (self._piece[-1] in "）)]］" and self._piece[0] not in _OPENERS)):
            return False
        before = self._piece[start - 1]
        if set(run) <= set(".．｡") and len(run) == 1:
            return not after.isdigit() if run != "." else not before.isdigit()
        return bool(set(run) - set(".…"))

    def _stop_ends(self, dot: int) -> bool:
        """Say whether a full stop with a space behind it ends the sentence: not after abbreviations and initials."""
        after = self._source.peek(1)
        if after in ("", "\n"):
            return True
        if not self._follows_new_sentence(self._is_lower_case()) or (
            dot < 16 and _LABEL.fullmatch("".join(self._piece).strip())
        ):
            return False
        start = dot
        while start and self._piece[start - 1] not in _OPENERS and not _parts_words(self._piece[start - 1]):
            start -= 1
        word = "".join(self._piece[start:dot])
        if word.lower() in _NEVER_LAST:
            return False
        if word.lower() in _BEFORE_NUMBER:
            return not after.isdigit()
        if len(word) == 1 and word.islower():
            return not after.islower() and self._source.peek(2) != "."
        if word.lower() in _SELDOM_LAST or _INITIALS.fullmatch(word):
            return self._follows_sentence_start()
        return True

    def _is_lower_case(self) -> bool:
        return not self._has_capitals and "".join(self._piece).islower()

    def _follows_new_sentence(self, may_be_lower_case: bool = False) -> bool:
        after = self._source.peek(1)
        return (may_be_lower_case or not after.islower()) and after not in _GOES_ON

    def _follows_sentence_start(self) -> bool:
        """Say whether the next word is one that sentences start with, rather than a name or a month."""
        if not self._source.peek(1).isalpha():
            return self._source.peek(1) in _OPENERS - set("([")
        word = ""
        while (character := self._source.peek(1 + len(word))).isalpha() and len(word) < 12:
            word += character
        return character != "." and word.lower() in _SENTENCE_STARTS

    def _ends_clause(self, mark: str) -> bool:
        """Say whether the first piece may end here; quotes that close behind the mark are taken."""
        if mark in _CLAUSE_ENDS:
            after: tuple[str, ...] = (" ", "\n")
        elif mark in _WIDE_CLAUSE_ENDS or mark in _DASHES:
            after = ()
        else:
            return False
        piece, source = self._piece, self._source
        if len(piece) + 2 * sum(map(is_wide, piece)) < self._first_min_chars:
            return False
        while self._closes(source.peek(), mark not in _CLAUSE_ENDS) and len(piece) < self._max_chars:
            piece.append(source.take())
        if mark == "–":
            return source.peek() == " " and piece[-2:-1] == [" "]
        is_within_number = source.peek().isdigit() and piece[-2:-1] != [] and piece[-2].isdigit()
        return source.peek() in after if after else not is_within_number and source.peek() not in _DASHES

    def _cut_long(self) -> None:
        """Cut the piece, which is one character too long, at the best place and let the rest come again."""
        piece, limit = self._piece, self._max_chars
        places = range(limit, 0, -1)
        cut = next((i for i in places if i > limit // 3 and self._is_after_clause(i)), 0)
        cut = cut or next((i for i in places if self._is_between_words(i)), 0)
        cut = cut or next((i for i in places if not extends_cluster(piece[i])), limit)
        self._source.put_back(piece[cut:])
        del piece[cut:]

    def _is_after_clause(self, i: int) -> bool:
        before, after = self._piece[i - 1], self._piece[i]
        if before in _WIDE_CLAUSE_ENDS or before in _WIDE_ENDS:
            return after not in _WIDE_CLOSERS and after not in _ENDS
        return after == " " and (before in _CLAUSE_ENDS or before in _ENDS or before in _DASHES)

    def _is_between_words(self, i: int) -> bool:
        before, after = self._piece[i - 1], self._piece[i]
        if " " in (before, after):
            return True
        if not is_wide(before) and not is_wide(after):
            return False
        is_bound = after in _WIDE_CLAUSE_ENDS or after in _ENDS or after in _WIDE_CLOSERS or before in _OPENERS
        return not is_bound and not extends_cluster(after)


def _parts_words(character: str) -> bool:
    return character == " " or is_wide(character)
