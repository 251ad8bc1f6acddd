"""Grammars that many tests use."""

from __future__ import annotations

from functools import cache

from app.intents.grammar import Grammar, load_grammar

_load_once = cache(load_grammar)


def shared_grammar(language: str = "en", names: tuple[str, ...] = (), areas: tuple[str, ...] = ()) -> Grammar:
    """Return what load_grammar returns, loaded once: to parse and to sample leave a grammar as it is."""
    return _load_once(language, names, areas)
