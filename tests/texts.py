"""Any text, for tests of properties."""

from __future__ import annotations

from hypothesis import strategies as st

any_character = st.one_of(st.integers(0, 0x2FFF), st.integers(0, 0x10FFFF)).map(chr)
"""Also halves of a pair.  Not st.characters(), which needs seconds for its tables in a fresh checkout."""


def any_text(max_size: int) -> st.SearchStrategy[str]:
    """Return a strategy for texts of any characters."""
    return st.lists(any_character, max_size=max_size).map("".join)
