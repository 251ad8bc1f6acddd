"""The file of settings: read with the environment on top, watched for changes, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients.device.schema import EnvironmentText, SettingsError, as_tree, build
from clients.device.settings import Settings

PREFIX = "EARSHOT_DEVICE__"
"""EARSHOT_DEVICE__SERVER__URL sets server.url; a number is the place in a list."""


class SettingsFile:
    """Where the settings come from: defaults, the file, the environment, the command line, each over those before."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
        self._path = path
        self._environ = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        self._overrides = overrides
        "What the command line says, by dotted name."
        self._seen: tuple[int, int] | None = None

    def load(self) -> Settings:
        """Read everything; raises SettingsError."""
        self._seen = self._stamp()
        tree = self._read() if self._path is not None else {}
        for name, text in sorted(self._environ.items()):
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), EnvironmentText(text), name)
        for dotted, value in self._overrides.items():
            _put(tree, dotted.split("."), value, dotted)
        settings: Settings = build(Settings, tree)
        return settings

    def changed(self) -> bool:
        """Say whether the file has changed since it was read; one that is away for a moment has not."""
        stamp = self._stamp()
        return stamp is not None and stamp != self._seen

    def _read(self) -> dict[str, Any]:
        assert self._path is not None
        try:
            tree = json.loads(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(
                f"{self._path} cannot be read ({error.strerror}): name another with --settings"
            ) from None
        except UnicodeDecodeError:
            raise SettingsError(f"{self._path} is not UTF-8 text") from None
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{self._path} is not JSON: {error}") from None
        if not isinstance(tree, dict):
            raise SettingsError(f"{self._path} must hold an object: {{…}}")
        return tree

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        with contextlib.suppress(OSError):
            status = self._path.stat()
            return status.st_mtime_ns, status.st_size
        return None


def write_settings(path: Path, settings: Settings) -> None:
    """Write the settings; whoever reads meanwhile, and whatever goes wrong, there is the old file or the new one."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        try:
            # The token is in it: for its owner only, as temporary files are.
            json.dump(as_tree(settings), file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _put(tree: Any, keys: list[str], value: Any, name: str) -> None:
    """Set a value deep in a tree, making what is on the way; a list that is not there is the default one."""
    *path, last = keys
    default: Any = as_tree(Settings())
    for key in path:
        default = default.get(key) if isinstance(default, dict) else None
        if isinstance(tree, list):
            tree = tree[_index(tree, key, name)]
        else:
            tree = tree.setdefault(key, default if isinstance(default, list) else {})
        if not isinstance(tree, (dict, list)):
            raise SettingsError(f"{name}: {key} is no object of settings")
    if isinstance(tree, list):
        tree[_index(tree, last, name)] = value
    else:
        tree[last] = value


def _index(items: list[Any], key: str, name: str) -> int:
    if not key.isdecimal() or int(key) > len(items):
        raise SettingsError(f"{name}: {key} is not the number of an entry; there are {len(items)} in the file")
    if int(key) == len(items):
        items.append({})
    return int(key)
