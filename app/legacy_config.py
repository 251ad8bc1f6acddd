"""The ten flat keys of the service that came before, read as settings of today."""

from __future__ import annotations

from typing import Any

from app.settings import check_type

LLM_KEYS = ("llm_url", "model_name")
SPEECH_KEYS = (
    "zijie_stt_appid",
    "zijie_stt_token",
    "zijie_stt_cluster",
    "zijie_tts_app_id",
    "zijie_tts_access_token",
    "lingji_key",
)
MEMORY_KEYS = ("embedding_model_url", "name_embedding_model")
LEGACY_KEYS = (*LLM_KEYS, *SPEECH_KEYS, *MEMORY_KEYS)

_ENGINE = "openai"


def translate(tree: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the tree with the flat keys put where they belong, and what the operator should know about it.

    What a nested section says stands; a flat key only fills what it leaves open.  Raises ConfigError.
    """
    flat = {key: str(check_type(tree[key], str | int, key)) for key in LEGACY_KEYS if key in tree}
    nested = {key: value for key, value in tree.items() if key not in flat}
    notices = []
    if any(flat.get(key) for key in LLM_KEYS):
        nested["llm"], notice = _llm_section(nested.get("llm", {}), flat)
        notices.append(notice)
    if speech := [key for key in SPEECH_KEYS if key in flat]:
        notices.append(
            f"{', '.join(speech)}: accepted and not used; this version has no Volcengine or DashScope speech, "
            "so stt.backends and tts.backends say who listens and speaks"
        )
    if memory := [key for key in MEMORY_KEYS if key in flat]:
        notices.append(f"{', '.join(memory)}: accepted and not used; this version keeps no embeddings")
    return nested, tuple(notices)


def _llm_section(section: dict[str, Any], flat: dict[str, str]) -> tuple[dict[str, Any], str]:
    own = {"engine": _ENGINE}
    if flat.get("llm_url"):
        own["base_url"] = flat["llm_url"]
    if flat.get("model_name"):
        own["model"] = flat["model_name"]
    given = ", ".join(key for key in LLM_KEYS if flat.get(key))
    nested = section.get(_ENGINE, {})
    merged = {"backends": [_ENGINE], **section, _ENGINE: {**own, **nested} if isinstance(nested, dict) else nested}
    if _ENGINE in check_type(merged["backends"], tuple[str, ...], "llm.backends"):
        return merged, f"{given}: read as llm.backends [{_ENGINE!r}] and llm.{_ENGINE}"
    return merged, f"{given}: not used, for llm.backends does not name {_ENGINE!r}"
