"""OpenAiLlm against a stand-in server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backends import build_config
from app.errors import BackendError, BackendRejected, BackendUnavailable
from app.llm.openai import OpenAiLlm, strip_thinking
from app.messages import ChatMessage, Header, Prompt
from tests.standins.openai_scenario import STATUS_ERRORS, STREAM_ERRORS, Behaviour, loaded, patience_s
from tests.standins.openai_server import OpenAiStandIn

MESSAGES = (ChatMessage("system", "Be brief."), ChatMessage("user", "Wie spät ist es?"))


def ask(server: OpenAiStandIn, options: dict[str, object] | None = None, **settings: Any) -> str:
    """Return the whole reply."""
    with loaded(OpenAiLlm, server.base_url, **settings) as backend:
        return "".join(backend.reply(Prompt(Header("s", "t"), MESSAGES, options=options or {})))


def test_reply_is_streamed_word_by_word() -> None:
    """Deltas come one by one, with characters whole that were cut on the wire, and comments and usage left out."""
    with OpenAiStandIn() as server, loaded(OpenAiLlm, server.base_url) as backend:
        deltas = list(backend.reply(Prompt(Header("s", "t"), MESSAGES)))
    assert "".join(deltas) == "You said: Wie spät ist es? Très bien, 好的! 🎵"
    assert len(deltas) > 5


def test_request_is_lean() -> None:
    """Only what is configured is sent."""
    with OpenAiStandIn() as server:
        ask(server, model="qwen3:4b")
    assert server.requests[0].json == {
        "model": "qwen3:4b",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Wie spät ist es?"},
        ],
    }


def test_settings_reach_the_server() -> None:
    """Temperature, limit and further fields are sent; the limit as servers other than OpenAI call it."""
    settings: dict[str, Any] = {"temperature": 0.2, "max_tokens": 99, "extra_body": {"reasoning_effort": "none"}}
    with OpenAiStandIn() as server:
        ask(server, **settings)
    sent = server.requests[0].json
    assert (sent["temperature"], sent["max_tokens"], sent["reasoning_effort"]) == (0.2, 99, "none")


@pytest.mark.parametrize(
    ("base_url", "setting", "field"),
    [
        ("https://api.openai.com/v1", "auto", "max_completion_tokens"),
        ("http://127.0.0.1:11434", "auto", "max_tokens"),
        ("https://openrouter.ai/api/v1", "auto", "max_tokens"),
        ("http://127.0.0.1:11434", "max_completion_tokens", "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_tokens", "max_tokens"),
    ],
)
def test_name_of_the_limit(base_url: str, setting: str, field: str) -> None:
    """OpenAI gets the name that it insists on, all others the one that they all know."""
    config = build_config(OpenAiLlm.Config, {"base_url": base_url, "max_tokens_field": setting, "max_tokens": 5}, "llm")
    request = OpenAiLlm(config)._request(Prompt(Header("s", "t"), MESSAGES))
    assert {name for name in request if name.startswith("max")} == {field}


def test_session_options_override() -> None:
    """A session may have its own model and temperature; options that this backend does not know are left alone."""
    with OpenAiStandIn() as server:
        ask(server, {"model": "other", "temperature": 0, "voice": "x"}, model="usual", temperature=1.0)
    sent = server.requests[0].json
    assert (sent["model"], sent["temperature"], "voice" in sent) == ("other", 0, False)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "thinking"])
def test_reasoning_is_not_spoken(field: str) -> None:
    """What a model thinks in a field of its own never shows, and null content is no content."""
    deltas = ({"content": None, field: "The user wants"}, {"content": "", field: " the time."}, {"content": "Noon."})
    with OpenAiStandIn([Behaviour(deltas=deltas)]) as server:
        assert ask(server) == "Noon."


def test_think_block_is_not_spoken() -> None:
    """What a local model thinks in tags never shows, even if the tags are cut in two."""
    deltas = tuple({"content": text} for text in ("<th", "ink>\nHm, a < b", "...</thi", "nk>\n\n", "It is", " noon."))
    with OpenAiStandIn([Behaviour(deltas=deltas)]) as server:
        assert ask(server).lstrip() == "It is noon."


def test_refusal_is_spoken() -> None:
    """The words with which a model refuses are its reply."""
    with OpenAiStandIn([Behaviour(deltas=({"content": None, "refusal": "I cannot help with that."},))]) as server:
        assert ask(server) == "I cannot help with that."


@pytest.mark.parametrize(("reason", "error"), [("content_filter", BackendRejected), ("error", BackendUnavailable)])
def test_bad_finish_is_an_error(reason: str, error: type[BackendError]) -> None:
    """A reply cut off by a filter or a failure is not taken for a whole one."""
    with OpenAiStandIn([Behaviour(finish_reason=reason)]) as server, pytest.raises(error):
        ask(server)


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", None])
def test_good_finish_is_the_end(reason: str | None) -> None:
    """A reply that ends by itself, at its limit, or only with [DONE] is whole."""
    with OpenAiStandIn([Behaviour(text="Noon.", finish_reason=reason)]) as server:
        assert ask(server) == "Noon."


def test_end_without_done_is_whole_after_a_finish_reason() -> None:
    """Servers that leave [DONE] out are understood."""
    events = 'data: {"choices": [{"delta": {"content": "Noon."}, "finish_reason": "stop"}]}\n\n'
    with OpenAiStandIn([Behaviour(answer=events)]) as server:
        assert ask(server) == "Noon."


def test_plain_answer_is_understood() -> None:
    """A server that cannot stream answers at once."""
    answer = {"choices": [{"message": {"role": "assistant", "content": "Noon."}, "finish_reason": "stop"}]}
    with OpenAiStandIn([Behaviour(answer=answer)]) as server:
        assert ask(server) == "Noon."


def test_connection_is_used_again() -> None:
    """The next reply needs no new connection, which over the internet costs as much as several words."""
    with OpenAiStandIn() as server, loaded(OpenAiLlm, server.base_url) as backend:
        for _ in range(3):
            list(backend.reply(Prompt(Header("s", "t"), MESSAGES)))
        assert server.n_connections == 1


def test_closing_the_reply_ends_the_work_of_the_server() -> None:
    """A reply that is cancelled closes the connection, so that the server stops generating."""
    with OpenAiStandIn([Behaviour("stall-after", n_items=5)]) as server, loaded(OpenAiLlm, server.base_url) as backend:
        reply = backend.reply(Prompt(Header("s", "t"), MESSAGES))
        assert next(reply) == "You "
        reply.close()  # type: ignore[attr-defined]
        assert server.wait_for_disconnect()


@pytest.mark.parametrize(("failure", "error"), STATUS_ERRORS.items())
def test_failure_before_the_reply(failure: str, error: type[BackendError]) -> None:
    """Each failure before the first word becomes exactly the error that says what helps."""
    with OpenAiStandIn([failure]) as server, pytest.raises(error) as caught:
        ask(server, read_timeout_s=patience_s(failure))
    assert type(caught.value) is error


@pytest.mark.parametrize(("failure", "error"), STREAM_ERRORS.items())
def test_failure_in_mid_reply(failure: str, error: type[BackendError]) -> None:
    """Each failure after some words becomes an error, so that half a sentence is never taken for a whole one."""
    with OpenAiStandIn([Behaviour(failure, n_items=4)]) as server, pytest.raises(error) as caught:
        ask(server, read_timeout_s=patience_s(failure))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("deltas", "wanted"),
    [
        (["Hello", " there"], ["Hello", " there"]),
        (["a < b", " and <b>"], ["a < b", " and <b>"]),
        (["<think>x</think>Hi"], ["Hi"]),
        (["Well<think>", "x", "</think>", " Hi"], ["Well", " Hi"]),
        (["<think>a</think>b<think>c</think>d"], ["b", "d"]),
        (["<think>never ends"], []),
        (["a <thi"], ["a ", "<thi"]),
        (["<", "t", "h", "i", "n", "k", ">", "x", "<", "/think", ">", "y"], ["y"]),
    ],
)
def test_strip_thinking(deltas: list[str], wanted: list[str]) -> None:
    """Blocks go, wherever they are cut; what only looks like a tag stays, and nothing else is held back."""
    assert list(strip_thinking(deltas)) == wanted


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "<", "think", ">", "/"]), max_size=12), st.data())
def test_strip_thinking_does_not_depend_on_the_cuts(pieces: list[str], data: st.DataObject) -> None:
    """However the text is cut into deltas, the same words are said."""
    text = "".join(pieces)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6))), len(text)]
    deltas = [text[start:end] for start, end in pairwise(cuts)]
    assert "".join(strip_thinking(deltas)) == "".join(strip_thinking([text]))
