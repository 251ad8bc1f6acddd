"""The flat keys of the service that came before are still understood."""

from __future__ import annotations

from app.config import Config
from tests.configuration import Load

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
