"""Spoken sentences out of templates, by a random walk that gives every choice its turn."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

_OFTEN_SAID_UP_TO = 60


class Sampler:
    """Speaks templates: each pass through a choice takes the next option of a shuffled deck, so none is left out."""

    def __init__(self, language: str, rng: random.Random, open_values: Mapping[str, Sequence[str]]) -> None:
        """open_values: what may stand for a slot that takes any words, by the name of its list."""
        from hassil import expression, intents
        from hassil.numbers import get_rbnf_engine

        self._rng = rng
        self._open_values = open_values
        self._decks: dict[int, list[Any]] = {}
        self._numbers = get_rbnf_engine(language)
        self._kinds = (expression, intents)

    def can_speak(self, sentence: Any, lists: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
        """Say whether every slot of the template has a list with values."""
        return all(
            name in self._open_values or self._has_values(lists.get(name)) for name in sentence.list_names(rules)
        )

    def speak(self, node: Any, lists: Mapping[str, Any], rules: Mapping[str, Any]) -> str:
        """Return one sentence of the template, with the spaces that its parts bring."""
        expression = self._kinds[0]
        if isinstance(node, expression.TextChunk):
            return node.original_text
        if isinstance(node, expression.Alternative):
            return self.speak(self._draw(node, node.items), lists, rules)
        if isinstance(node, expression.Group):
            items = list(node.items)
            if isinstance(node, expression.Permutation):
                self._rng.shuffle(items)
            return "".join(self.speak(item, lists, rules) for item in items)
        if isinstance(node, expression.RuleReference):
            return self.speak(rules[node.rule_name].expression, lists, rules)
        return self._speak_slot(node, lists, rules)

    def _has_values(self, slot_list: Any) -> bool:
        intents = self._kinds[1]
        return isinstance(slot_list, intents.RangeSlotList) or bool(getattr(slot_list, "values", ()))

    def _speak_slot(self, node: Any, lists: Mapping[str, Any], rules: Mapping[str, Any]) -> str:
        intents = self._kinds[1]
        slot_list: Any = lists.get(node.list_name)
        if node.list_name in self._open_values:
            return self._draw(node, self._open_values[node.list_name])
        if isinstance(slot_list, intents.RangeSlotList):
            numbers = list(slot_list.get_numbers())
            small = [number for number in numbers if number <= _OFTEN_SAID_UP_TO]
            return self._numbers.format_number(self._draw(slot_list, numbers + 2 * small)).text
        return self.speak(self._draw(slot_list, slot_list.values).text_in, lists, rules)

    def _draw(self, owner: Any, options: Sequence[Any]) -> Any:
        deck = self._decks.get(id(owner))
        if not deck:
            deck = self._decks[id(owner)] = list(options)
            self._rng.shuffle(deck)
        return deck.pop()
