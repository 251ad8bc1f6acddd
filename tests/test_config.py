"""The configuration is read from file and environment, checked, and never shows a secret."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.backends import backend_config
from app.config import Config, TokenConfig, load_config
from app.errors import ConfigError

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a configuration from a tree or a text, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def load(content: Mapping[str, Any] | str = "{}", **environ: str) -> Config:
        path = tmp_path / "settings.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return load_config(str(path), environ)

    return load


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


def test_secrets_are_not_shown(load: Load, refuse: Callable[..., str]) -> None:
    """Neither the configuration as text nor an error holds a key, a token or the user in an address."""
    tree = {
        "server": {"tokens": {"kitchen": "hush-hush"}},
        "home": {"webhook_url": "http://home/hook/hush"},
        "llm": {"backends": ["openai"], "openai": {"api_key": "hush"}},
    }
    assert "hush" not in repr(load(tree))
    config = load({"stt": {"backends": ["demo"], "demo": {"engine": "demo", "api_key": ["hush"]}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "demo")
    assert str(caught.value) == "stt.demo.api_key: is a list; allowed is a text"
    config = load({"stt": {"backends": ["demo"], "demo": {"size": "http://me:hush@host/?k=hush"}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "demo")
    assert "hush" not in str(caught.value)
    assert "host" in str(caught.value)


def test_the_configuration_travels_to_workers(load: Load) -> None:
    """A configuration pickles, with what came from the environment in it."""
    config = load({"llm": {"openai": {"engine": "openai", "api_key": "${K}"}}}, K="secret-of-the-environment")
    assert pickle.loads(pickle.dumps(config)) == config


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a backend made for these tests."""

    language: str = ""
    size: int = 1
    speed: float = 1.0
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.size > 9:
            raise ValueError("size and speed do not go together")
        if self.speed <= 0:
            raise ConfigError(f"speed: is {self.speed}; allowed is a number above 0")


class Demo:
    """A backend made for these tests."""

    Config: ClassVar[type] = DemoConfig


DEMO = {"demo": f"{__name__}:Demo"}


def test_a_backend_gets_its_section_and_the_home_settings(load: Load) -> None:
    """Settings of the home fill what the backend's own section leaves open."""
    tree = {"home": {"language": "fr"}, "stt": {"backends": ["demo", "two"], "two": {"engine": "demo", "size": 2}}}
    config = load(tree, EARSHOT_STT__TWO__SPEED="1.5", EARSHOT_STT__TWO__LANGUAGE="de")
    backend, settings = backend_config(DEMO, config, "stt", "demo")
    assert (backend.__name__, settings) == ("Demo", DemoConfig(language="fr"))
    assert backend_config(DEMO, config, "stt", "two")[1] == DemoConfig(language="de", size=2, speed=1.5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"siz": 2}, "stt.two.siz: no such setting; did you mean 'size'?"),
        ({"size": "big"}, "stt.two.size: is 'big'; allowed is a whole number"),
        ({"speed": 0}, "stt.two.speed: is 0.0; allowed is a number above 0"),
        ({"size": 10}, "stt.two: size and speed do not go together"),
        ({"engine": "dem"}, "stt.two.engine: no backend is called 'dem'; did you mean 'demo'?"),
    ],
)
def test_an_error_in_a_backend_names_the_whole_path(load: Load, section: Mapping[str, Any], message: str) -> None:
    """The key in the error is the one to mend in the file."""
    config = load({"stt": {"backends": ["two"], "two": {"engine": "demo", **section}}})
    with pytest.raises(ConfigError) as caught:
        backend_config(DEMO, config, "stt", "two")
    assert caught.value.message.startswith(message)


def test_an_unknown_backend_is_refused_with_the_known_ones(load: Load) -> None:
    """A listed name without a section is the name of an engine."""
    with pytest.raises(ConfigError, match=r"^stt\.backends: no backend is called 'dmo'; did you mean 'demo'\?"):
        backend_config(DEMO, load({"stt": {"backends": ["dmo"]}}), "stt", "dmo")


FLAT = {
    "lingji_key": "sk-hush",
    "llm_url": "http://172.17.0.3:11434",
    "model_name": "llama3.1:latest",
    "zijie_tts_app_id": "xx",
    "zijie_tts_access_token": "hush",
    "embedding_model_url": "http://172.17.0.3:11434",
    "name_embedding_model": "nomic-embed-text",
    "zijie_stt_appid": 5,
    "zijie_stt_token": "hush",
    "zijie_stt_cluster": "xx",
}


def test_the_flat_keys_of_old_are_read(load: Load) -> None:
    """A file of the service that came before starts, and what is not used is said without its value."""
    config = load(FLAT)
    assert config.llm.backends == ("openai",)
    assert config.backend_settings("llm", "openai") == (
        "openai",
        {"base_url": "http://172.17.0.3:11434", "model": "llama3.1:latest"},
    )
    assert config.stt == Config().stt
    assert config.tts == Config().tts
    said = "\n".join(config.notices)
    assert all(key in said for key in FLAT)
    assert "hush" not in said


def test_nested_settings_win_over_flat_ones(load: Load) -> None:
    """Flat keys and sections can be mixed; the sections say the last word."""
    section = {"backends": ["openai", "intents"], "openai": {"model": "other"}}
    config = load({**FLAT, "llm": section, "server": {"port": 5001}}, EARSHOT_LLM_URL="elsewhere:1")
    assert config.server.port == 5001
    assert config.llm.backends == ("openai", "intents")
    assert config.backend_settings("llm", "openai")[1] == {"base_url": "elsewhere:1", "model": "other"}
    assert "not used, for llm.backends" in load({**FLAT, "llm": {"backends": ["intents"]}}).notices[0]
