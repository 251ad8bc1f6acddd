#!/usr/bin/env python3
"""Speak with an Earshot service: send speech, hear the reply.  Needs Python and requests: copy this one file.

    python talk.py question.wav                       upload, then play sentence by sentence
    python talk.py                                    record until Enter (arecord, or rec of sox)
    python talk.py --seconds 4 --talk                 a whole turn in one request, played while it is made
    arecord -q -t raw -f S16_LE -r 16000 | python talk.py -    send sound as it comes
    python talk.py question.wav --save reply.wav      keep the reply instead of playing it
    python talk.py --text "Dinner is ready"           have a text said

Exit status: 0 the reply was heard; 1 the turn failed, was refused or had no sound; 2 wrong usage or no service.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import mimetypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests

DEFAULT_URL = "http://127.0.0.1:5000"
RECORD_RATE_HZ = 16_000
MAX_RECORDING_S = 60.0
CHUNK_BYTES = 3_200
TIMEOUTS_S = (5.0, 90.0)
"""For the connection, and for each piece of an answer."""
POLL_TIMEOUT_S = 30.0
"""How long one GET /audio waits at the service."""
MAX_RETRY_AFTER_S = 30.0
LOST_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Before a GET whose connection broke is asked again."""
PAUSE_S = 0.5
"""Between an answer that says `nothing yet` and the next question."""
LINGER_S = 2.0
"""How long events are waited for when the reply is over."""

_RAW = ["-t", "raw", "-c", "1", "-r", str(RECORD_RATE_HZ)]
RECORDERS = {
    "arecord": ["-q", "-f", "S16_LE", *_RAW],
    "rec": ["-q", "-e", "signed-integer", "-b", "16", *_RAW, "-"],
    "sox": ["-q", "-d", "-e", "signed-integer", "-b", "16", *_RAW, "-"],
}
_FFPLAY = ["-nodisp", "-autoexit", "-loglevel", "error"]
PLAYERS: dict[str, tuple[list[str], list[str]]] = {
    # program: what stands before a file; what makes it read a WAV from its input, empty when it cannot
    "aplay": (["-q"], ["-q", "-"]),
    "play": (["-q"], ["-q", "-t", "wav", "-"]),
    "ffplay": (_FFPLAY, [*_FFPLAY, "-i", "-"]),
    "afplay": ([], []),
}


class Trouble(Exception):
    """What went wrong and what to do; `status` is the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Lost(Trouble):
    """The service cannot be reached, or the connection broke."""


class Report:
    """One readable line per event, with the seconds since the last of the speech was sent."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self.restart_clock()

    def restart_clock(self) -> None:
        self._began_s = time.monotonic()

    def tell(self, text: str) -> None:
        if not self._is_quiet:
            print(f"{time.monotonic() - self._began_s:7.2f} s  {printable(text)}", flush=True)


def printable(text: str) -> str:
    """Return the text without what could steer the terminal: a reply is somebody else's words."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- the service -----------------------------------------------------------------------------------------------------


class Service:
    """The service's HTTP calls; what goes wrong is raised as Trouble."""

    def __init__(self, options: argparse.Namespace, report: Report) -> None:
        self.url = options.url.rstrip("/")
        self._params = {"session": options.session} if options.session else {}
        self._token = options.token
        self._tries = options.tries
        self._report = report
        self._http = requests.Session()
        self._http.auth = self._sign
        # The length of what comes is compared with its Content-Length.
        self._http.headers["Accept-Encoding"] = "identity"

    def call(self, method: str, path: str, params: dict[str, str] | None = None, **options: Any) -> requests.Response:
        """Return a good answer, or a 404 about a turn; a busy service is asked again.

        Raises Lost, and Trouble with the service's own message and what to do.
        """
        for n_left in reversed(range(self._tries)):
            response = self._send(method, path, {**self._params, **(params or {})}, options)
            code, message = error_of(response)
            if response.status_code not in (429, 503) or n_left == 0:
                break
            wait_s = _retry_after_s(response)
            self._report.tell(f"{message}; trying again in {wait_s:g} s")
            time.sleep(wait_s)
        if response.ok or code in ("nothing-yet", "unknown-segment", "unknown-turn"):
            return response
        if response.status_code in (401, 403):
            raise Trouble(f"{message}; give it with --token or in EARSHOT_TOKEN", 2)
        if code in ("", "not-found", "method-not-allowed"):
            raise Trouble(f"{self.url} is no Earshot service ({message}): name yours with --url or in EARSHOT_URL", 2)
        raise Trouble(f"refused with {response.status_code} {code}: {message}")

    def look_at(self, turn: str) -> dict[str, Any]:
        """Return what has become of a turn; empty when it is not kept."""
        response = self.call("GET", f"/turns/{turn}")
        return dict(response.json()) if response.ok else {}

    def _send(self, method: str, path: str, params: dict[str, str], options: dict[str, Any]) -> requests.Response:
        try:
            response = self._http.request(method, self.url + path, params=params, timeout=TIMEOUTS_S, **options)
            # Older versions of urllib3 do not notice a body that was cut short.
            if "stream" not in options and len(response.content) < int(response.headers.get("Content-Length", 0)):
                raise requests.ConnectionError("the answer is incomplete")
            return response
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise Lost(
                f"{self.url} does not answer ({type(error).__name__}): start the service with scripts/run"
                " (scripts/run --lan when it is another machine), or name another with --url or in EARSHOT_URL",
                2,
            ) from None
        except (requests.RequestException, UnicodeError) as error:
            raise Trouble(f"{self.url} cannot be asked: {error}", 2) from None

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Not as a plain header, which a .netrc file would replace.
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def error_of(response: requests.Response) -> tuple[str, str]:
    """Return the code and message of an answer; the code is empty when it is not from Earshot."""
    if response.ok:
        return "", ""
    try:
        error = response.json()["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "", f"{response.status_code} {response.reason}"


def _retry_after_s(response: requests.Response) -> float:
    try:
        return min(MAX_RETRY_AFTER_S, max(0.1, float(response.headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0


# ---- sound in --------------------------------------------------------------------------------------------------------


class LiveSound:
    """Sound that is sent while it comes, and kept in case a busy service wants it a second time."""

    def __init__(self, source: Iterator[bytes], report: Report) -> None:
        self._source = source
        self._report = report
        self._kept = [next(source, b"")]
        if not self._kept[0]:
            raise Trouble("no sound came from the microphone or the input; `arecord -l` lists microphones", 2)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._kept
        for chunk in self._source:
            self._kept.append(chunk)
            yield chunk
        self._report.restart_clock()


def read_input() -> Iterator[bytes]:
    """Yield what comes on the standard input, when it comes."""
    while chunk := os.read(sys.stdin.fileno(), CHUNK_BYTES):
        yield chunk


def record(seconds: float | None) -> Iterator[bytes]:
    """Yield PCM16 from the microphone for some seconds, or until Enter."""
    program = next(filter(shutil.which, RECORDERS), None)
    if program is None:
        raise Trouble(f"no recorder here ({', '.join(RECORDERS)}): install alsa-utils or sox, or name a sound file", 2)
    process = subprocess.Popen([program, *RECORDERS[program]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    if seconds is None:
        threading.Thread(target=_stop_at_enter, args=[process], daemon=True).start()
    left_bytes = 2 * round((seconds or MAX_RECORDING_S) * RECORD_RATE_HZ)
    try:
        while chunk := os.read(process.stdout.fileno(), min(CHUNK_BYTES, left_bytes)):
            left_bytes -= len(chunk)
            yield chunk
    finally:
        process.terminate()
        process.wait()


def _stop_at_enter(process: subprocess.Popen[bytes]) -> None:
    # Below Python's own buffer, whose lock would be held when the program ends without Enter.
    os.read(sys.stdin.fileno(), CHUNK_BYTES)
    process.terminate()


def open_sound(options: argparse.Namespace, service: Service, report: Report) -> dict[str, Any]:
    """Return the request's body and headers for the sound that the user means."""
    raw_type = f"audio/L16;rate={options.rate}"
    if options.sound == "-":
        return {"data": LiveSound(read_input(), report), "headers": {"Content-Type": raw_type}}
    if options.sound is None:
        # Nobody should speak to a service that does not listen.
        service.call("GET", "/ready")
        report.tell(f"recording until {f'{options.seconds:g} s are over' if options.seconds else 'Enter'}: speak now")
        live = LiveSound(record(options.seconds), report)
        return {"data": live, "headers": {"Content-Type": f"audio/L16;rate={RECORD_RATE_HZ}"}}
    path = Path(options.sound)
    kind = raw_type if path.suffix.lower() in (".raw", ".pcm") else mimetypes.guess_type(path.name)[0] or ""
    return {"data": path.read_bytes(), "headers": {"Content-Type": kind} if kind.startswith("audio/") else {}}


# ---- sound out -------------------------------------------------------------------------------------------------------


class Player:
    """Plays sentence after sentence; the next is fetched while one is heard."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="earshot-")
        self._playing: subprocess.Popen[bytes] | None = None

    def add(self, wav: bytes, name: str) -> None:
        """Play the WAV of one sentence, when the one before is over."""
        path = Path(self._folder.name, f"{name}.wav")
        path.write_bytes(wav)
        self._wait()
        self._playing = subprocess.Popen([self._program, *PLAYERS[self._program][0], path], stdin=subprocess.DEVNULL)

    def add_stream(self, chunks: Iterable[bytes], name: str) -> None:
        """Play a WAV of unknown length while it comes."""
        arguments = PLAYERS[self._program][1]
        if not arguments:
            self.add(b"".join(chunks), name)
            return
        self._playing = subprocess.Popen([self._program, *arguments], stdin=subprocess.PIPE, bufsize=0)
        assert self._playing.stdin is not None
        # A player that leaves tells why by its exit status.
        with contextlib.suppress(BrokenPipeError), self._playing.stdin as pipe:
            for chunk in chunks:
                pipe.write(chunk)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait until everything was heard; Ctrl-C ends it at once."""
        if kind is KeyboardInterrupt and self._playing is not None:
            self._playing.terminate()
        with self._folder:
            try:
                self._wait()
            except Trouble:
                if kind is None:
                    raise

    def _wait(self) -> None:
        process, self._playing = self._playing, None
        if process is not None and process.wait() != 0:
            raise Trouble(f"{self._program} ended with status {process.returncode}; --save reply.wav keeps the reply")


class Saver:
    """Keeps the reply: in one file when the path ends in .wav, else each sentence in that folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_joined = path.suffix.lower() == ".wav"
        (path.parent if self._is_joined else path).mkdir(parents=True, exist_ok=True)
        self._file: wave.Wave_write | None = None

    def add(self, wav: bytes, name: str) -> None:
        """Keep the WAV of one sentence."""
        with wave.open(io.BytesIO(wav)) as source:
            rate, pcm16 = source.getframerate(), source.readframes(len(wav))
        if self._file is None or not self._is_joined:
            self._complete()
            path = self._path if self._is_joined else self._path / f"{name}.wav"
            self._file = wave.open(str(path), "wb")  # noqa: SIM115 - it grows with each sentence
            self._file.setparams((1, 2, rate, 0, "NONE", ""))
        self._file.writeframes(pcm16)

    def add_stream(self, chunks: Iterable[bytes], name: str) -> None:
        """Keep a WAV of unknown length, now that its length is known."""
        self.add(b"".join(chunks), name)

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *error: object) -> None:
        self._complete()

    def _complete(self) -> None:
        if self._file is not None:
            self._file.close()


def open_output(save: str | None, report: Report) -> Player | Saver:
    """Return where the reply goes: a player, or files."""
    player = next(filter(shutil.which, PLAYERS), None)
    if save is None and player is not None:
        return Player(player)
    if save is None:
        report.tell(f"no player here ({', '.join(PLAYERS)}): the reply goes to reply.wav; --save names another file")
    return Saver(Path(save or "reply.wav"))


# ---- the conversation ------------------------------------------------------------------------------------------------


class Reply:
    """One turn's reply, sentence by sentence, also over a connection that breaks."""

    def __init__(self, service: Service, turn: str, patience_s: float, report: Report) -> None:
        self._service = service
        self._turn = turn
        self._patience_s = patience_s
        self._report = report
        self._next = (turn, 0)
        "Turn and index of the segment that is due."

    def sentences(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and WAV of each sentence until the turn has ended; what was still in line comes before it."""
        rate: dict[str, str] = {}
        while (response := self._wait(rate)) is not None:
            turn = response.headers.get("X-Turn", self._turn)
            if response.status_code == 200:
                index = int(response.headers.get("X-Segment", self._next[1]))
                self._next = (turn, index + 1)
                self._report.tell(f"{index + 1}: {unquote(response.headers.get('X-Text', '')) or '(a sound)'}")
                # Sentences of one rate can be joined, whichever voice speaks them.
                rate = rate or {"rate": str(int.from_bytes(response.content[24:28], "little"))}
                yield f"{turn}-{index + 1:02}", response.content
            elif turn == self._turn:
                return
            else:
                self._next = (self._turn, 0)

    def _wait(self, params: dict[str, str]) -> requests.Response | None:
        """Return the next segment, or the end of a turn; None when the turn is over without anyone saying so."""
        until_s = time.monotonic() + self._patience_s
        while (left_s := until_s - time.monotonic()) > 0:
            response = self._ask({**params, "timeout": f"{min(POLL_TIMEOUT_S, left_s):.3f}"})
            if response.status_code != 404:
                return response
            if self._is_over():
                return None
            # A service with many devices answers at once instead of letting one more wait.
            time.sleep(min(PAUSE_S, max(0.0, until_s - time.monotonic())))
        raise Trouble(f"no sound came for {self._patience_s:g} s; the turn is {self._turn}, --patience waits longer")

    def _ask(self, params: dict[str, str]) -> requests.Response:
        """Ask for the next segment.  After a loss it is asked for by its number: the service may think it delivered."""
        for wait_s in (*LOST_WAITS_S, None):
            try:
                return self._service.call("GET", "/audio", params)
            except Lost:
                if wait_s is None:
                    raise
                self._report.tell(f"the connection was lost; asking again in {wait_s:g} s")
                time.sleep(wait_s)
                turn, index = self._next
                params = {**params, "turn": turn, "segment": str(index)}
        raise AssertionError("the last try returns or raises")

    def _is_over(self) -> bool:
        """Return whether nothing more will come; the end may have been lost, or told to another device."""
        turn = self._service.look_at(self._turn)
        if not turn:
            raise Trouble(f"the service does not know turn {self._turn} any more: was it restarted?")
        return turn["state"] != "open" and all(s["delivered"] or s["skipped"] for s in turn["segments"])


def upload(service: Service, options: argparse.Namespace, report: Report) -> str:
    """Send speech and return its turn."""
    sound = open_sound(options, service, report)
    report.restart_clock()
    answer = service.call("POST", "/upload", _interrupts(options), **sound).json()
    report.tell(f"uploaded {answer['duration_s']:.2f} s of speech: turn {answer['turn']}")
    return str(answer["turn"])


def say(service: Service, options: argparse.Namespace, report: Report) -> str:
    """Have a text said and return its turn."""
    if options.interrupt:
        interrupt(service)
    turn = str(service.call("POST", "/say", json={"text": options.text}).json()["turn"])
    report.tell(f"to be said: turn {turn}")
    return turn


def talk(service: Service, options: argparse.Namespace, output: Player | Saver, report: Report) -> str:
    """Send speech and take the whole reply in one request; return its turn."""
    sound = open_sound(options, service, report)
    report.restart_clock()
    response = service.call("POST", "/talk", _interrupts(options), stream=True, **sound)
    turn = response.headers["X-Turn"]
    report.tell(f"sent: turn {turn}")
    try:
        output.add_stream(response.iter_content(CHUNK_BYTES), turn)
    except requests.RequestException as error:
        raise Trouble(
            f"the connection broke during the reply ({type(error).__name__}); without --talk it is resumed"
        ) from None
    for segment in service.look_at(turn).get("segments", []):
        if not segment["skipped"]:
            report.tell(f"{segment['index'] + 1}: {segment['text']}")
    return turn


def _interrupts(options: argparse.Namespace) -> dict[str, str]:
    return {"interrupt": "1"} if options.interrupt else {}


def interrupt(service: Service) -> None:
    """Cancel what is in progress; without a session there is nothing."""
    with contextlib.suppress(Trouble):
        service.call("POST", "/interrupt")


def tell_end(service: Service, turn: str, report: Report) -> None:
    """Tell how the turn ended; raises Trouble when the user's question was not answered."""
    end = service.look_at(turn)
    if "error" in end:
        raise Trouble(f"the turn failed with {end['error']['code']}: {end['error']['message']}")
    if end["state"] == "cancelled":
        raise Trouble("the turn was cancelled by an interruption")
    if all(segment["skipped"] for segment in end["segments"]):
        raise Trouble("the reply has no sound" if end["heard"] else "nothing was heard: no speech in the recording")
    report.tell("end")


def converse(options: argparse.Namespace, service: Service, report: Report) -> None:
    """Hold one turn."""
    if options.talk:
        with open_output(options.save, report) as output:
            turn = talk(service, options, output, report)
    else:
        turn = (upload if options.text is None else say)(service, options, report)
        if options.send_only:
            return
        with open_output(options.save, report) as output:
            for name, wav in Reply(service, turn, options.patience, report).sentences():
                output.add(wav, name)
    tell_end(service, turn, report)


# ---- events ----------------------------------------------------------------------------------------------------------


class Follower:
    """Tells in a thread of its own what the service hears and finds, until the program ends."""

    def __init__(self, service: Service, report: Report) -> None:
        self._service = service
        self._report = report
        self._is_open = threading.Event()
        self._is_complete = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()
        self._is_open.wait(TIMEOUTS_S[0])

    def linger(self) -> None:
        """Wait a moment for what comes after the reply."""
        self._is_complete.wait(LINGER_S)

    def _follow(self) -> None:
        try:
            response = self._service.call("GET", "/events", stream=True)
            # The log begins with older events, whose time is the service's.
            opened_at_s = parsedate_to_datetime(response.headers["Date"]).timestamp()
            self._is_open.set()
            seen = set()
            for line in response.iter_lines():
                event = json.loads(line[6:]) if line.startswith(b"data: ") else {"at_s": 0}
                if event["at_s"] >= opened_at_s:
                    seen.add(self._tell(event))
                    if {"end", "analysis"} <= seen:
                        self._is_complete.set()
        except (Trouble, requests.RequestException, ValueError) as error:
            self._report.tell(f"no more events: {error}")
        self._is_open.set()
        self._is_complete.set()

    def _tell(self, event: dict[str, Any]) -> str:
        """Tell one event; return whether it is an analysis, the end of a turn or something else."""
        name = event["event"]
        if name == "analysis_ready":
            scores = (f"{k} {'-' if v is None else format(v, '.3g')}" for k, v in event["scores"].items())
            self._report.tell(f"analysis by {event['analyser']}: {', '.join(scores)}")
            return "analysis"
        if name in ("partial_transcript", "final_transcript"):
            self._report.tell(f"{'you said' if name.startswith('final') else 'hearing'}: {event['text']}")
        return "end" if name in ("turn_done", "turn_failed", "turn_cancelled") else ""


# ---- the command -----------------------------------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line and the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("sound", nargs="?", help="a sound file, or - for raw PCM16 or a file from the standard input; else recorded")
    add("--text", help="have this text said instead of sending speech")
    add("--talk", action="store_true", help="one request for the whole turn, its reply streamed (POST /talk)")
    add("--seconds", type=float, help=f"record this long instead of until Enter (at most {MAX_RECORDING_S:g} s)")
    add("--rate", type=int, default=RECORD_RATE_HZ, help="of raw PCM16 that is sent, in Hz (default %(default)s)")
    add("--save", metavar="DIR|FILE.wav", help="keep the reply instead of playing it: one file, or one per sentence")
    add("--send-only", action="store_true", help="leave the reply to another device of the session")
    add("--interrupt", action="store_true", help="cancel the session's turn in progress first")
    add("--events", action="store_true", help="also show transcripts and voice analysis")
    add("--url", default=os.environ.get("EARSHOT_URL") or DEFAULT_URL, help="of the service (default: %(default)s)")
    add("--session", help="name of the conversation (default: one for each token or address)")
    add("--token", default=os.environ.get("EARSHOT_TOKEN"), help="what the service lets you in with (or EARSHOT_TOKEN)")
    add(
        "--patience",
        type=float,
        default=120.0,
        help="give up after this long without sound, in s (default %(default)s)",
    )
    add("--tries", type=int, default=5, help="how often a busy service is asked (default %(default)s)")
    add("--quiet", action="store_true", help="tell errors only")
    options = parser.parse_args(arguments)
    if options.text is not None and (options.sound is not None or options.talk):
        parser.error("--text goes without a sound and without --talk")
    if options.sound not in (None, "-") and not Path(options.sound).is_file():
        parser.error(f"there is no file {options.sound}")
    if options.send_only and (options.talk or options.save):
        parser.error("--send-only gives no reply to save or to stream")
    if options.seconds is not None and not 0 < options.seconds <= MAX_RECORDING_S:
        parser.error(f"--seconds is {options.seconds:g}; allowed is up to {MAX_RECORDING_S:g}")
    if options.tries < 1 or options.patience <= 0:
        parser.error("--tries and --patience must be above 0")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Hold one turn and return the exit status."""
    options = parse_arguments(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a letter of the reply must not end it.
            stream.reconfigure(errors="replace")
    report = Report(options.quiet)
    service = Service(options, report)
    try:
        follower = Follower(Service(options, report), report) if options.events else None
        try:
            converse(options, service, report)
        finally:
            if follower is not None:
                follower.linger()
    except (Trouble, OSError) as error:
        print(f"talk.py: {printable(str(error))}", file=sys.stderr)
        return error.status if isinstance(error, Trouble) else 2
    except KeyboardInterrupt:
        interrupt(service)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
