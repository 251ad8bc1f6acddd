"""Addresses, settings and messages that the backends of OpenAI-compatible servers share."""

from __future__ import annotations

import traceback

import pytest
import requests

from app.backends import build_config
from app.errors import BackendBusy, BackendError, BackendUnavailable, ConfigError
from app.llm.openai import OpenAiLlm
from app.messages import ChatMessage, Header, Prompt
from app.openai_api import ServerConfig, normalise_base_url
from app.tts.openai import OpenAiTts
from tests.standins.openai_scenario import Behaviour, loaded
from tests.standins.openai_server import OpenAiStandIn

KEY = "sk-proj-Zm9vYmFyYmF6"
PROMPT = Prompt(Header("s", "t"), (ChatMessage("user", "Hello"),))


def reply(base_url: str, **settings: object) -> str:
    """Return the whole reply of a server to PROMPT."""
    with loaded(OpenAiLlm, base_url, **settings) as backend:
        return "".join(backend.reply(PROMPT))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("  http://127.0.0.1:11434/v1/ ", "http://127.0.0.1:11434/v1"),
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("127.0.0.1", "http://127.0.0.1/v1"),
        ("localhost:11434/v1", "http://localhost:11434/v1"),
        ("gpu-box:8000/v1/chat/completions", "http://gpu-box:8000/v1"),
        ("gpu.lan/v1", "http://gpu.lan/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("http://box:8880/v1/audio/speech", "http://box:8880/v1"),
        ("http://box:8000/v1/audio/transcriptions/", "http://box:8000/v1"),
        ("http://box:8000//v1//models", "http://box:8000/v1"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/api/generate", "http://127.0.0.1:11434/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api/v1"),
        ("api.openai.com", "https://api.openai.com/v1"),
        ("llm.example.com:8000", "http://llm.example.com:8000/v1"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ("https://llm.example.com/v1beta/openai/", "https://llm.example.com/v1beta/openai"),
        ("https://llm.example.com/chat/completions", "https://llm.example.com"),
    ],
)
def test_base_url_is_normalised(given: str, wanted: str) -> None:
    """An address works with and without scheme, slash, version and the path of an endpoint."""
    assert normalise_base_url(given) == wanted


@pytest.mark.parametrize(
    "given",
    [
        "",
        "http://",
        "ftp://box/v1",
        "http://box:port",
        "http://box/v1?key=secret-value",
        "http://me:secret-value@box/v1",
        "me:secret-value@box:port",
    ],
)
def test_unusable_base_url_is_refused(given: str) -> None:
    """What is no address of a server is refused at start, without repeating what may be a key or a password."""
    with pytest.raises(ConfigError, match="base_url") as caught:
        ServerConfig(base_url=given)
    assert "secret-value" not in caught.value.message


@pytest.mark.parametrize(
    "settings", [{"api_key": "schlüssel"}, {"extra_headers": {"X-Title": "a\nb"}}, {"read_timeout_s": 0.0}]
)
def test_unusable_settings_are_refused(settings: dict[str, object]) -> None:
    """A key or header that HTTP cannot carry, and a time that is none, are refused at start."""
    with pytest.raises(ConfigError, match=next(iter(settings)) if "extra_headers" not in settings else "X-Title"):
        build_config(ServerConfig, settings, "llm.openai")


def test_config_hides_its_secrets() -> None:
    """The printed form of a Config shows no key and no header."""
    assert KEY not in repr(ServerConfig(api_key=KEY, extra_headers={"X-Key": KEY}))


def test_headers_are_sent() -> None:
    """Key and further headers reach the server, without the blanks that copying adds."""
    with OpenAiStandIn() as server:
        reply(server.base_url, api_key=f" {KEY}\n", extra_headers={"X-Title": "Earshot"})
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-title"]) == (f"Bearer {KEY}", "Earshot")


def test_environment_of_the_package_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, organisation and project of the environment never go to a server of another."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "from-environment")
    with OpenAiStandIn() as server:
        reply(server.base_url)
    assert "from-environment" not in str(server.requests[0].headers)


def test_key_never_shows_in_an_error() -> None:
    """A server that echoes the key does not bring it into the message, nor into the traceback."""
    with OpenAiStandIn(["401"]) as server, pytest.raises(BackendError) as caught:
        reply(server.base_url, api_key=KEY)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "Incorrect API key provided: [removed]" in caught.value.message


def test_secret_header_never_shows_in_an_error() -> None:
    """Secrets in further headers are removed from messages too."""
    answer = {"error": {"message": "no tenant tenant-4711-secret"}}
    with OpenAiStandIn([Behaviour(answer=answer)]) as server, pytest.raises(BackendError) as caught:
        reply(server.base_url, extra_headers={"X-Tenant": "tenant-4711-secret"})
    assert "tenant-4711-secret" not in caught.value.message


def test_message_names_server_status_and_remedy() -> None:
    """An error says which server answered what, and what to do."""
    with OpenAiStandIn(["404"]) as server, pytest.raises(BackendError) as caught:
        reply(server.base_url)
    host = server.base_url.removeprefix("http://").removesuffix("/v1")
    assert caught.value.message == (
        f"{host} answered 404 (model 'x' not found, try pulling it first); "
        "check model and base_url, and that the server has the model"
    )


def test_message_repeats_nothing_of_the_request() -> None:
    """Validation errors of FastAPI repeat the input; the message does not."""
    with OpenAiStandIn(["422"]) as server, pytest.raises(BackendError, match="Field required") as caught:
        reply(server.base_url)
    assert "private" not in caught.value.message


def test_web_page_is_named_and_not_shown() -> None:
    """A proxy's error page becomes a few words."""
    with OpenAiStandIn(["502-html"]) as server, pytest.raises(BackendUnavailable, match=r"502.*a web page") as caught:
        reply(server.base_url)
    assert "<" not in caught.value.message


def test_rate_limit_passes_then_succeeds() -> None:
    """A rate limit says how long to wait, is not retried here, and the next call works."""
    with OpenAiStandIn(["429"]) as server:
        with pytest.raises(BackendBusy) as caught:
            reply(server.base_url)
        assert (caught.value.retry_after_s, len(server.requests)) == (1.0, 1)
        assert reply(server.base_url).startswith("You said: Hello")


@pytest.mark.parametrize(("failure", "wait_s"), [("503", 3.0), ("429-date", 0.0), ("500", None)])
def test_time_to_come_back_is_kept(failure: str, wait_s: float | None) -> None:
    """The server's own time to come back is passed on, in seconds; a date that is past means now."""
    with OpenAiStandIn([failure]) as server, pytest.raises(BackendUnavailable) as caught:
        reply(server.base_url)
    assert caught.value.retry_after_s == wait_s


def test_no_server_is_unavailable() -> None:
    """Where nothing listens, the error says so."""
    with OpenAiStandIn() as server:
        base_url = server.base_url
    with pytest.raises(BackendUnavailable, match=r"ConnectError.*check that it runs"):
        reply(base_url)


def test_stand_in_scripts_each_verb_by_itself() -> None:
    """The stand-in can fail one verb while the others work, and lists its models."""
    scenario = {"chat": ["ok", Behaviour(text="Second.")], "speech": ["500"]}
    with OpenAiStandIn(scenario) as server, loaded(OpenAiTts, server.base_url) as voice:
        assert reply(server.base_url).startswith("You said")
        with pytest.raises(BackendUnavailable):
            list(voice.synthesize("Hello"))
        assert reply(server.base_url) == "Second."
        models = requests.get(f"{server.base_url}/models", timeout=5).json()
    assert [model["id"] for model in models["data"]] == ["chat", "ear", "voice"]


def test_every_setting_has_a_default() -> None:
    """All settings shared by the three backends can be left out."""
    assert ServerConfig().base_url
