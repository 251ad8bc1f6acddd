#!/usr/bin/env python3
"""Hold a live conversation with an Earshot service.  Needs Python, aiohttp, requests and this folder.

    python clients/ws_talk.py --text "What time is it?"            type, and read the reply while it is made
    python clients/ws_talk.py --wav question.wav --play            speak a WAV, and hear the reply
    python clients/ws_talk.py --microphone --play                  talk until Enter (arecord, or rec of sox)
    python clients/ws_talk.py --wav first.wav --text "And now?" --out answers.wav      turn after turn
    python clients/ws_talk.py --text "Tell me a joke" --json       every message of the service as a line

Exit status: 0 every turn was answered; 1 one failed, was refused or not heard; 2 wrong usage or no service.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import sys
import time
from pathlib import Path

if not __package__:
    # A script's own folder is searched for modules; ours are named from the one above, as with -m.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clients.live import LiveConversation, Message
from clients.live_sound import LiveOutput
from clients.service import Trouble
from clients.sound import record
from clients.talk import Report, printable

MICROPHONE_LIMIT_S = 86_400

Turn = tuple[str, str]
"""`text`, `wav` or `microphone`, and which."""


class Dialogue:
    """Takes turn after turn, tells what comes back and lets it be heard."""

    def __init__(self, options: argparse.Namespace, conversation: LiveConversation, output: LiveOutput) -> None:
        self._options = options
        self._conversation = conversation
        self._output = output
        self._report = Report(options.quiet or options.json)
        self._open: set[str] = set()
        "Our turns that are not over yet."
        self._begun: set[str] = set()
        "Turns that have begun to answer since."
        self._typed = ""
        self._is_said = self._has_heard = False
        self._trouble: Trouble | None = None
        self._start_clock()

    async def choose(self, settings: dict[str, object]) -> None:
        """Change the session's settings before anything is said; raises Trouble when they are refused."""
        await self._conversation.change_settings(**settings)
        async for message in self._conversation.messages():
            self.print(message)
            await self._play(message)
            self._note(message, is_spoken=True)
            if message["type"] == "settings":
                return

    async def take(self, turn: Turn) -> None:
        """Say something and return when it is answered; raises Trouble when it is not."""
        self._open.clear()
        self._begun.clear()
        self._typed = turn[1].strip()
        self._trouble = None
        self._has_heard = self._is_said = False
        tasks = [asyncio.ensure_future(step) for step in (self._say(*turn), self._hear(turn[0] != "text"))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._trouble is not None:
            raise self._trouble
        if not self._has_heard:
            raise Trouble("nothing was heard: no speech in the recording")

    # ---- up ----------------------------------------------------------------------------------------------------------

    async def _say(self, kind: str, what: str) -> None:
        self._start_clock()
        if kind == "text":
            await self._conversation.send_text(what)
            return
        if kind == "wav":
            mode = "hands_free" if self._options.hands_free else "push_to_talk"
            await self._conversation.speak(Path(what), mode=mode)
        else:
            self._report.tell("speak now, and press Enter at the end")
            await self._conversation.listen(record(MICROPHONE_LIMIT_S))
        # Its answer comes behind all that the sound has begun.
        await self._conversation.send("ping")

    def _start_clock(self) -> None:
        self._report.start_clock()
        self._began_s = time.monotonic()
        self._first_sound_s: float | None = None

    # ---- down --------------------------------------------------------------------------------------------------------

    async def _hear(self, is_spoken: bool) -> None:
        """Take messages until the turn is over."""
        async for message in self._conversation.messages():
            self.print(message)
            self._tell(message)
            await self._play(message)
            self._note(message, is_spoken)
            if self._is_said and not self._open:
                return

    def _note(self, message: Message, is_spoken: bool) -> None:
        """Keep in mind which turns are ours, and how they ended."""
        kind = message["type"]
        if kind == "error" and "turn_id" not in message:
            raise Trouble(f"refused with {message['code']}: {message['message']}")
        if kind == "pong" and is_spoken:
            self._is_said = True
        elif kind == "speech_started" and is_spoken:
            self._open.add(message["turn_id"])
        elif kind == "text_stream_start":
            self._begun.add(message["turn_id"])
        elif kind == "turn_complete" and (message["turn_id"] in self._open if is_spoken else self._answers(message)):
            self._open.discard(message["turn_id"])
            self._has_heard = self._has_heard or not is_spoken or bool(message["heard"])
            self._is_said = self._is_said or not is_spoken
            self._note_end(message)

    def _answers(self, end: Message) -> bool:
        """Say whether a turn that ended is the typed one.

        Announcements answer nobody, and a reply before was cut off, or had nothing left to tell.
        """
        if end["outcome"] == "failed":
            return True
        is_ours = end["turn_id"] in self._begun or end["heard"] == self._typed
        return end["reason"] != "new-message" and bool(end["heard"]) and is_ours

    def _note_end(self, message: Message) -> None:
        outcome, reason = message["outcome"], message["reason"]
        if outcome == "failed":
            self._has_heard = True
            self._trouble = self._trouble or Trouble(f"the turn failed with {reason}")
        elif outcome == "cancelled" and reason != "new-utterance":
            self._trouble = self._trouble or Trouble(f"the turn was cancelled: {reason}")

    async def _play(self, message: Message) -> None:
        if message["type"] == "audio_chunk_meta":
            if self._first_sound_s is None:
                self._first_sound_s = time.monotonic() - self._began_s
            await self._output.add(message["pcm16"])
        elif message["type"] == "interrupted":
            await self._output.drop()
        elif message["type"] == "audio_complete":
            self._output.complete()
        elif message["type"] == "turn_complete":
            await self._output.play_out()

    def _tell(self, message: Message) -> None:
        """Tell in words what a message says; nothing for what is only of use to programs."""
        kind = message["type"]
        if kind == "speech_stopped":
            self._start_clock()
        elif kind == "stt_update":
            self._report.tell(f"hearing: {message['text']}")
        elif kind == "stt_finished":
            self._report.tell(f"you said: {message['text']}")
        elif kind == "text_stream_start" and message["character_name"]:
            self._report.tell(f"{message['character_name']}:")
        elif kind == "text_chunk":
            self._report.tell(f"{message['sentence_index'] + 1}: {message['text']}")
        elif kind == "analysis":
            scores = (f"{k} {'-' if v is None else format(v, '.3g')}" for k, v in message["scores"].items())
            self._report.tell(f"analysis by {message['analyser']}: {', '.join(scores)}")
        elif kind == "interrupted":
            self._report.tell("interrupted")
        elif kind == "error":
            self._report.tell(f"error {message['code']}: {message['message']}")
        elif kind == "turn_complete":
            sound = "no sound" if self._first_sound_s is None else f"first sound after {self._first_sound_s:.2f} s"
            self._report.tell(f"{message['outcome']}, {sound}")

    def print(self, message: Message) -> None:
        """Print a message as JSON where that is wanted, its sound only by its length."""
        if self._options.json:
            sound = {"n_bytes": len(message["pcm16"])} if "pcm16" in message else {}
            print(json.dumps({**{k: v for k, v in message.items() if k != "pcm16"}, **sound}), flush=True)


async def converse(options: argparse.Namespace) -> None:
    """Take all turns in their order."""
    output = LiveOutput(options.out, options.play)
    try:
        async with LiveConversation(options.url, options.token, options.session) as conversation:
            try:
                dialogue = Dialogue(options, conversation, output)
                dialogue.print(conversation.session)
                if options.set:
                    await dialogue.choose(dict(options.set))
                if options.interrupt:
                    await conversation.interrupt()
                for turn in options.turns:
                    await dialogue.take(turn)
            except asyncio.CancelledError:
                await conversation.interrupt()
                raise
    finally:
        await output.close()


# ---- the command -----------------------------------------------------------------------------------------------------


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line and the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    turn = {"dest": "turns", "action": "append", "default": []}
    add("--text", metavar="TEXT", type=lambda text: ("text", text), help="type this", **turn)  # type: ignore[arg-type]
    add("--wav", metavar="FILE.wav", type=lambda name: ("wav", name), help="speak this", **turn)  # type: ignore[arg-type]
    add("--microphone", dest="turns", action="append_const", const=("microphone", ""), help="talk until Enter")
    add("--hands-free", action="store_true", help="let the service find the utterances in each --wav")
    add("--out", metavar="FILE.wav", help="keep all sound that comes")
    add("--play", action="store_true", help="let it be heard while it comes")
    add("--interrupt", action="store_true", help="cancel the session's turns in progress first")
    add("--set", metavar="NAME=VALUE", action="append", type=_setting, help="model, temperature, character or voice")
    add("--json", action="store_true", help="print every message of the service as a line instead of words")
    add("--quiet", action="store_true", help="tell errors only")
    url = os.environ.get("EARSHOT_URL") or "http://127.0.0.1:5000"
    add("--url", default=url, help="of the service, also as EARSHOT_URL (default: %(default)s)")
    add("--session", help="name of the conversation (default: one for each token or address)")
    add("--token", default=os.environ.get("EARSHOT_TOKEN"), help="lets you in, also as EARSHOT_TOKEN")
    options = parser.parse_args()
    if not options.turns:
        parser.error("say what: --text, --wav or --microphone")
    for kind, what in options.turns:
        if kind == "wav" and not Path(what).is_file():
            parser.error(f"there is no file {what}")
    return options


def main() -> int:
    """Hold the conversation and return the exit status."""
    options = parse_arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a letter of the reply must not end it.
        sys.stdout.reconfigure(errors="replace")
    try:
        asyncio.run(converse(options))
    except (Trouble, OSError) as error:
        print(f"ws_talk.py: {printable(str(error))}", file=sys.stderr)
        return error.status if isinstance(error, Trouble) else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
