#!/usr/bin/env python3
"""Speak with an Earshot service: send speech, hear the reply.  Needs Python, requests and this folder.

    python clients/talk.py question.wav                    upload, then play sentence by sentence
    python clients/talk.py                                 record until Enter (arecord, or rec of sox)
    python clients/talk.py --talk question.wav             a whole turn in one request, played while it is made
    arecord -q -t raw -f S16_LE -r 16000 -d 4 | python clients/talk.py -     send sound as it comes
    python clients/talk.py question.wav --save reply.wav   keep the reply instead of playing it
    python clients/talk.py --say "Dinner is ready"         have a text said

Exit status: 0 the reply was heard; 1 the turn failed, was refused or had no sound; 2 wrong usage or no service.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if not __package__:
    # A script's own folder is searched for modules; ours are named from the one above, as with -m.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clients.service import LiveBody, Reply, Service, Trouble, received
from clients.sound import CHUNK_BYTES, RAW_TYPE, Player, Saver, open_output, read_input, record

LINGER_S = 2.0
"""How long an analysis is waited for when the reply is over."""


class Report:
    """One readable line per event, with the seconds since the last of the speech was sent."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self.start_clock()

    def start_clock(self) -> None:
        """Count from now."""
        self._began_s = time.monotonic()

    def tell(self, text: str) -> None:
        """Print one line, unless it should be quiet."""
        if not self._is_quiet:
            print(f"{time.monotonic() - self._began_s:7.2f} s  {printable(text)}", flush=True)


def printable(text: str) -> str:
    """Return the text without what could steer the terminal: a reply is somebody else's words."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- one turn --------------------------------------------------------------------------------------------------------


def converse(options: argparse.Namespace, service: Service, report: Report) -> None:
    """Hold one turn; raises Trouble when nothing was answered."""
    with open_output(options.save) as output:
        if options.talk:
            turn = talk(options, service, output, report)
        else:
            turn = (upload if options.say is None else say)(options, service, report)
            for number, text, wav in Reply(service, turn).sentences():
                report.tell(f"{number}: {text or '(a sound)'}")
                output.add([wav])
    end = service.look_at(turn)
    if "error" in end:
        raise Trouble(f"the turn failed with {end['error']['code']}: {end['error']['message']}")
    if end["state"] == "cancelled":
        raise Trouble("the turn was cancelled by an interruption")
    if all(segment["skipped"] for segment in end["segments"]):
        raise Trouble("the reply has no sound" if end["heard"] else "nothing was heard: no speech in the recording")
    report.tell("end")


def upload(options: argparse.Namespace, service: Service, report: Report) -> str:
    """Send speech and return its turn."""
    answer = service.call("POST", "/upload", **open_speech(options, service, report)).json()
    report.tell(f"uploaded {answer['duration_s']:.2f} s of speech: turn {answer['turn']}")
    return str(answer["turn"])


def say(options: argparse.Namespace, service: Service, report: Report) -> str:
    """Have a text said and return its turn."""
    if options.interrupt:
        service.interrupt()
    turn = str(service.call("POST", "/say", json={"text": options.say}).json()["turn"])
    report.tell(f"to be said: turn {turn}")
    return turn


def talk(options: argparse.Namespace, service: Service, output: Player | Saver, report: Report) -> str:
    """Send speech and take the whole reply in one request; return its turn."""
    response = service.call("POST", "/talk", stream=True, **open_speech(options, service, report))
    turn = response.headers["X-Turn"]
    report.tell(f"sent: turn {turn}")
    output.add(received(response.iter_content(CHUNK_BYTES)))
    for segment in service.look_at(turn)["segments"]:
        if not segment["skipped"]:
            report.tell(f"{segment['index'] + 1}: {segment['text']}")
    return turn


def open_speech(options: argparse.Namespace, service: Service, report: Report) -> dict[str, Any]:
    """Return what a request needs to carry the speech that the user means."""
    params = {"interrupt": "1"} if options.interrupt else {}
    if options.sound not in (None, "-"):
        report.start_clock()
        return {"params": params, "data": Path(options.sound).read_bytes()}
    if options.sound is None:
        # Nobody should speak to a service that does not listen.
        service.call("GET", "/ready")
        report.tell("speak now, and press Enter at the end")
    body = LiveBody(read_input() if options.sound == "-" else record(), at_end=report.start_clock)
    return {"params": params, "data": body, "headers": {"Content-Type": RAW_TYPE}}


# ---- events ----------------------------------------------------------------------------------------------------------


def follow(events: Iterator[dict[str, Any]], report: Report, is_complete: threading.Event) -> None:
    """Tell what the service hears and finds in the voice; an utterance is complete when both were told."""
    missing = {"final_transcript", "analysis_ready"}
    try:
        for event in events:
            missing.discard(event["event"])
            if line := describe(event):
                report.tell(line)
            if not missing:
                is_complete.set()
    except Trouble as error:
        report.tell(f"no more events: {error}")


def describe(event: dict[str, Any]) -> str:
    """Return the line for an event; nothing for what is told anyway."""
    if event["event"] == "partial_transcript":
        return f"hearing: {event['text']}"
    if event["event"] == "final_transcript":
        return f"you said: {event['text']}"
    if event["event"] == "analysis_ready":
        scores = (f"{k} {'-' if v is None else format(v, '.3g')}" for k, v in event["scores"].items())
        return f"analysis by {event['analyser']}: {', '.join(scores)}"
    return ""


# ---- the command -----------------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line and the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("sound", nargs="?", help="a sound file, or - for the standard input: a file, or raw PCM16 mono at 16 kHz")
    add("--say", metavar="TEXT", help="have this text said instead of sending speech")
    add("--talk", action="store_true", help="one request for the whole turn, its reply streamed (POST /talk)")
    add("--save", metavar="FILE.wav", help="keep the reply instead of playing it")
    add("--interrupt", action="store_true", help="cancel the session's turn in progress first")
    add("--events", action="store_true", help="also show transcripts and voice analysis")
    add("--quiet", action="store_true", help="tell errors only")
    url = os.environ.get("EARSHOT_URL") or "http://127.0.0.1:5000"
    add("--url", default=url, help="of the service, also as EARSHOT_URL (default: %(default)s)")
    add("--session", help="name of the conversation (default: one for each token or address)")
    add("--token", default=os.environ.get("EARSHOT_TOKEN"), help="lets you in, also as EARSHOT_TOKEN")
    options = parser.parse_args()
    if options.say is not None and (options.sound is not None or options.talk):
        parser.error("--say goes without a sound and without --talk")
    if options.sound not in (None, "-") and not Path(options.sound).is_file():
        parser.error(f"there is no file {options.sound}")
    return options


def main() -> int:
    """Hold one turn and return the exit status."""
    options = parse_arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a letter of the reply must not end it.
        sys.stdout.reconfigure(errors="replace")
    report = Report(options.quiet)
    service = Service(options.url, options.token, options.session, report.tell)
    is_complete = threading.Event()
    try:
        if options.events:
            events = service.open_events()
            threading.Thread(target=follow, args=[events, report, is_complete], daemon=True).start()
        converse(options, service, report)
        if options.events and options.say is None:
            is_complete.wait(LINGER_S)
    except (Trouble, OSError) as error:
        print(f"talk.py: {printable(str(error))}", file=sys.stderr)
        return error.status if isinstance(error, Trouble) else 2
    except KeyboardInterrupt:
        service.interrupt()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
