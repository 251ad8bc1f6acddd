"""A device in a room: says nothing until its wake word, listens, asks an Earshot service, speaks the answer.

    python -m clients.device --url http://server:5000
    python -m clients.device --settings device.json        see docs/device.md
    python -m clients.device --no-wake                     Enter begins and ends a question
    python -m clients.device --check                       is everything there?

Exit status: 0 done, 1 something is missing, 2 wrong usage or settings, 70 the sound driver hangs: start it again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from clients.device.check import check, list_devices
from clients.device.runner import run
from clients.device.schema import json_schema
from clients.device.settings import Settings
from clients.device.settings_file import SettingsFile, write_settings
from clients.service import Trouble

MODES = {"no_wake": "push_to_talk", "hands_free": "hands_free"}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m clients.device", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--settings", type=Path, metavar="FILE", help="JSON; changes of it take effect at once")
    add("--url", default=os.environ.get("EARSHOT_URL"), help="of the service, also as EARSHOT_URL")
    add("--token", default=os.environ.get("EARSHOT_TOKEN"), help="lets you in, also as EARSHOT_TOKEN")
    add("--session", help="name of the conversation")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--no-wake", action="store_true", help="push to talk: Enter begins and ends a question")
    mode.add_argument("--hands-free", action="store_true", help="whatever is spoken is a question")
    add("--input-wav", type=Path, metavar="FILE", help="hear this file instead of the microphone, and end")
    add("--fast", action="store_true", help="with --input-wav: not in real time")
    add("--output-wav", type=Path, metavar="FILE", help="write what is spoken into this file")
    add("--check", action="store_true", help="try microphone, speaker, wake words and service, and say what to do")
    add("--list-devices", action="store_true", help="show microphones and speakers")
    add("--print-schema", action="store_true", help="show the JSON schema of the settings file")
    add("--write-settings", type=Path, metavar="FILE", help="write a settings file with everything in it")
    options = parser.parse_args(arguments)
    if options.fast and options.input_wav is None:
        parser.error("--fast goes with --input-wav")
    return options


def overrides_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line says about settings."""
    named = {"server.url": options.url, "server.token": options.token, "server.session": options.session}
    given: dict[str, Any] = {name: value for name, value in named.items() if value}
    chosen = [mode for flag, mode in MODES.items() if getattr(options, flag)]
    return {**given, **({"mode": chosen[0]} if chosen else {})}


def open_log() -> TextIO:
    """Return where the log goes: PortAudio is kept from the terminal while it starts, and nothing of ours is."""
    return os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for and return the exit status."""
    options = parse_arguments(arguments)
    try:
        if options.print_schema:
            print(json.dumps(json_schema(Settings), indent=2))
            return 0
        if options.list_devices:
            return list_devices()
        source = SettingsFile(options.settings, os.environ, overrides_of(options))
        settings = source.load()
        if options.write_settings is not None:
            write_settings(options.write_settings, settings)
            return 0
        level = settings.log_level.upper()
        logging.basicConfig(format="%(asctime)s %(message)s", level=level, datefmt="%H:%M:%S", stream=open_log())
        # It tells of every connection that it opens anew.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        if options.check:
            return check(settings)
        return run(source, settings, options)
    except (Trouble, OSError) as error:
        print(f"device: {error}", file=sys.stderr)
        return error.status if isinstance(error, Trouble) else 2


if __name__ == "__main__":
    sys.exit(main())
