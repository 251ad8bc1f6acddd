"""The configuration is read from file and environment, checked, and never shows a secret."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.config import Config, TokenConfig, load_config
from app.errors import ConfigError
from tests.configuration import Load


@pytest.fixture
def refuse(load: Load) -> Callable[..., str]:
    """Load a configuration that must be refused, and return the error's message."""

    def refuse(content: Mapping[str, Any] | str = "{}", **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(content, **environ)
        return caught.value.message

    return refuse


def test_an_empty_file_gives_the_defaults(load: Load) -> None:
    """An empty object is the default configuration: offline, on the loopback, with embedded backends."""
    config = load()
    assert config == Config()
    assert (config.server.host, config.server.port) == ("127.0.0.1", 5000)
    assert [config.stage(s).backends for s in ("stt", "llm", "tts", "analysis")] == [
        ("pocketsphinx",),
        ("intents",),
        ("flite", "espeak"),
        ("prosody",),
    ]


def test_without_a_path_the_file_beside_is_read_when_there_is_one(tmp_path: Path, load: Load) -> None:
    """Without a path ./config.json is read, and without that file the defaults stand."""
    assert load_config(None, {}) == Config()
    (tmp_path / "config.json").write_text('{"server": {"port": 5001}}')
    assert load_config(None, {}).server.port == 5001


def test_the_environment_can_name_the_file(tmp_path: Path, load: Load) -> None:
    """EARSHOT_CONFIG is the path when none is given."""
    (tmp_path / "mine.json").write_text('{"server": {"port": 5002}}')
    assert load_config(None, {"EARSHOT_CONFIG": "mine.json"}).server.port == 5002


def test_a_path_without_a_file_is_an_error(load: Load) -> None:
    """A path that was asked for must lead to a file."""
    with pytest.raises(ConfigError, match=r"nowhere\.json: cannot be read: No such file"):
        load_config("nowhere.json", {})


def test_keys_with_two_slashes_are_comments(load: Load) -> None:
    """Comments are dropped at every level, whatever they hold."""
    assert load('{"// a": 1, "// a": 2, "server": {"//": "${UNSET}", "port": 1}}').server.port == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"server": {\n  "port": 1,,}}', "line 2, column 13: is not JSON"),
        ("[1]", "must hold one JSON object"),
        ('{"server": {"port": 1, "port": 2}}', "'port' stands twice"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(refuse: Callable[..., str], text: str, message: str) -> None:
    """An error in the file says where it is."""
    assert message in refuse(text)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"servr": {}}, "servr: no such section; did you mean 'server'?"),
        ({"server": 5}, "server: is 5; allowed is an object"),
        ({"server": {"prot": 1}}, "server.prot: no such setting; did you mean 'port'?"),
        ({"server": {"port": 70000}}, "server.port: is 70000; allowed is a whole number from 0 to 65535"),
        ({"server": {"port": "5000"}}, "server.port: is '5000'; allowed is a whole number from 0 to 65535"),
        ({"server": {"port": True}}, "server.port: is True; allowed is a whole number"),
        ({"server": {"open_to_lan": 1}}, "server.open_to_lan: is 1; allowed is true or false"),
        ({"server": {"log_level": "loud"}}, "server.log_level: is 'loud'; allowed is 'debug' or 'info'"),
        ({"server": {"tls_cert": "a.pem"}}, "server.tls_key: is needed too"),
        ({"session": {"idle_timeout_s": 0}}, "session.idle_timeout_s: is 0; allowed is a number above 0"),
        ({"session": {"turn_timeout_s": float("nan")}}, "session.turn_timeout_s: is nan; allowed is a number above 0"),
        ({"session": {"turn_timeout_s": 10**400}}, "session.turn_timeout_s: is 1000"),
        ({"session": {"max_events": 0}}, "session.max_events: is 0; allowed is a whole number of at least 1"),
        ({"home": {"names": ["lamp", 3]}}, "home.names[1]: is 3; allowed is a text"),
        ({"home": {"time_zone": "Europe/Pariss"}}, "home.time_zone: no zone is called 'Europe/Pariss'; did you mean"),
        ({"home": {"webhook_url": "ftp://x"}}, "home.webhook_url: allowed is an address that begins with http://"),
        ({"stt": {"backends": []}}, "stt.backends: is empty; allowed is a list of at least one"),
        ({"tts": {"backends": "flite"}}, "tts.backends: is 'flite'; allowed is a list of a text"),
        ({"tts": {"backends": ["flite", "flite"]}}, "tts.backends: is ['flite', 'flite']; allowed is each name once"),
        ({"tts": {"flit": {}}}, "tts.flit: no such setting; did you mean 'flite'?"),
        ({"tts": {"flite": 3}}, "tts.flite: is 3; allowed is an object"),
        ({"tts": {"mine": {"engine": 3}}}, "tts.mine.engine: is 3; allowed is a text"),
        ({"tts": {"sections": {}}}, "tts.sections: no such setting"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    refuse: Callable[..., str], tree: Mapping[str, Any], message: str
) -> None:
    """Names, types and ranges are checked; the error names key, value, what is allowed and the nearest spelling."""
    assert message in refuse(tree)


def test_analysis_may_be_off(load: Load) -> None:
    """Only the analysis stage can do without a backend."""
    assert load({"analysis": {"backends": []}}).analysis.backends == ()


def test_whole_numbers_are_taken_for_seconds(load: Load) -> None:
    """A number of seconds may be written without a fraction."""
    assert load({"session": {"idle_timeout_s": 60}}).session.idle_timeout_s == 60.0


def test_variables_are_filled_in(load: Load) -> None:
    """${NAME} takes the variable, ${NAME:-default} also copes without it, and $${ is a plain ${."""
    tree = {"home": {"language": "${LANGUAGE_TAG:-de}", "areas": ["${ROOM}s", "$${ROOM}"]}, "server": {"port": "${P}"}}
    config = load(tree, ROOM="kitchen", P="5001")
    assert config.home.language == "de"
    assert config.home.areas == ("kitchens", "${ROOM}")
    assert config.server.port == 5001


def test_a_missing_variable_is_named_with_its_key(refuse: Callable[..., str]) -> None:
    """The error says which setting needs which variable."""
    message = refuse({"llm": {"backends": ["openai"], "openai": {"api_key": "${LLM_KEY}"}}})
    assert message == "llm.openai.api_key: needs the environment variable LLM_KEY, which is not set"
    assert "holds ${ without the name" in refuse({"llm": {"system_prompt": "${1}"}})


def test_variables_override_the_file(load: Load) -> None:
    """EARSHOT_ variables win over the file, with two underscores for each level."""
    config = load(
        {"server": {"port": 1}, "llm": {"my-llama": {"engine": "openai", "api_key": "${UNSET}"}}},
        EARSHOT_SERVER__PORT="5055",
        EARSHOT_SERVER__OPEN_TO_LAN="true",
        EARSHOT_SERVER__TOKENS__KITCHEN="12345678",
        EARSHOT_SERVER__HOST="0.0.0.0",
        EARSHOT_LLM__BACKENDS="my-llama, intents",
        EARSHOT_LLM__MY_LLAMA__API_KEY="sk-1",
        EARSHOT_TTS__BACKENDS='["espeak"]',
        EARSHOT_SESSION='{"max_timers": 3}',
        EARSHOT_SPEECH_DIR="/elsewhere",
        PATH="/bin",
    )
    assert (config.server.port, config.server.host, config.server.open_to_lan) == (5055, "0.0.0.0", True)
    assert config.server.tokens == {"kitchen": TokenConfig("12345678")}
    assert config.llm.backends == ("my-llama", "intents")
    assert config.backend_settings("llm", "my-llama") == ("openai", {"api_key": "sk-1"})
    assert config.tts.backends == ("espeak",)
    assert config.session.max_timers == 3


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("EARSHOT_PORT", "EARSHOT_SERVER__PORT"),
        ("EARSHOT_SERVER__PROT", "EARSHOT_SERVER__PORT"),
        ("EARSHOT_STT__WORKRS", "EARSHOT_STT__WORKERS"),
        ("EARSHOT_SERVER__", "EARSHOT_SERVER__"),
        ("EARSHOT_SESSION_MAX_TIMERS", "EARSHOT_SESSION__MAX_TIMERS"),
    ],
)
def test_an_unknown_variable_is_refused(refuse: Callable[..., str], variable: str, nearest: str) -> None:
    """A misspelt variable is an error that says which one was probably meant."""
    message = refuse({}, **{variable: "1"})
    assert message.startswith(f"{variable}: no such setting; did you mean '{nearest}")


def test_others_are_let_in_only_with_tokens_or_on_demand(load: Load, refuse: Callable[..., str]) -> None:
    """An address that others reach needs a token, or the word that it shall be open, which is then noticed."""
    for host in ("0.0.0.0", "::", "", "192.168.1.5", "voice.example"):
        assert "server.tokens is empty" in refuse({"server": {"host": host}})
    assert "no token is asked" in load({"server": {"host": "0.0.0.0", "open_to_lan": True}}).notices[0]
    assert load({"server": {"host": "0.0.0.0", "tokens": {"kitchen": "long enough".replace(" ", "-")}}}).notices == ()
    for host in ("127.0.0.2", "::1", "localhost"):
        assert load({"server": {"host": host}}).notices == ()


def test_a_token_is_a_text_or_an_object(load: Load) -> None:
    """A device is a name and a token; an administrator says so."""
    tokens = {"kitchen": "kitchen-token", "me": {"token": "admin-token", "admin": True}}
    assert load({"server": {"tokens": tokens}}).server.tokens == {
        "kitchen": TokenConfig("kitchen-token"),
        "me": TokenConfig("admin-token", admin=True),
    }


@pytest.mark.parametrize(
    "tokens",
    [
        {"kitchen": "short"},
        {"kitchen": ""},
        {"kitchen": "with a blank in it"},
        {"kitchen": "schlüssel-schlüssel"},
        {"kitchen": "same-token", "hall": "same-token"},
        {"kitchen": 1234567890},
        {"kitchen": ["listed-token"]},
        {"kitchen": {"token": 1234567890}},
        {"kitchen": {"tokn": "misspelt-token"}},
        ["listed-token"],
    ],
)
def test_a_bad_token_is_refused_and_not_shown(refuse: Callable[..., str], tokens: Any) -> None:
    """The error about a token names the device and never the token."""
    message = refuse({"server": {"tokens": tokens}})
    assert message.startswith("server.tokens")
    for secret in ("short", "in it", "schl", "same-token", "1234567890", "listed", "misspelt"):
        assert secret not in message


def test_secrets_are_not_shown(load: Load) -> None:
    """The configuration as text holds no key, no token and no address of a webhook."""
    tree = {
        "server": {"tokens": {"kitchen": "hush-hush"}},
        "home": {"webhook_url": "http://home/hook/hush"},
        "llm": {"backends": ["openai"], "openai": {"api_key": "hush"}},
    }
    assert "hush" not in repr(load(tree))


def test_the_configuration_travels_to_workers(load: Load) -> None:
    """A configuration pickles, with what came from the environment in it."""
    config = load({"llm": {"openai": {"engine": "openai", "api_key": "${K}"}}}, K="secret-of-the-environment")
    assert pickle.loads(pickle.dumps(config)) == config
