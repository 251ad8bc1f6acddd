"""The checker of the WebSocket's contract: it lets good conversations pass, and refuses each breach by its sentence."""

from __future__ import annotations

import ast
import inspect

import pytest

from tests import live_contract, live_rules, live_stream_rules
from tests.live_contract import ContractChecker
from tests.live_scripts import BROKEN, GOOD, Script


def play(script: Script) -> None:
    """Let a new checker follow a whole connection."""
    checker = ContractChecker()
    for step in script:
        if isinstance(step, bytes):
            checker.received_binary(step)
        elif isinstance(step, str):
            checker.sent({"type": step})
        else:
            checker.received(step)
    checker.finish()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_conversation_passes(name: str) -> None:
    """What keeps the contract is not complained of."""
    play(GOOD[name])


@pytest.mark.parametrize(("sentence", "script"), BROKEN)
def test_a_breach_is_refused(sentence: str, script: Script) -> None:
    """Each breach is told by the sentence that it breaks, with the last messages."""
    with pytest.raises(AssertionError) as breach:
        play(script)
    assert str(breach.value).startswith(f"{sentence}; the last messages:\n  ")


def test_every_rule_is_proved() -> None:
    """No rule says a sentence that no broken script provokes."""
    said = set()
    for module in (live_contract, live_rules, live_stream_rules):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
                said.add(ast.literal_eval(node.args[1]))
    assert said == {sentence for sentence, _ in BROKEN}


def test_every_rule_is_in_force() -> None:
    """No rule is written and forgotten."""
    assert set(live_contract.RULES) == set(live_rules.Rule.__subclasses__())
