"""What holds for the text and the sound of a turn on the WebSocket: see "In which order" in docs/websocket.md."""

from __future__ import annotations

from tests.live_rules import Message, Rule, require


class TextStreams(Rule):
    """The text streams of a turn come one after the other, each from text_stream_start to text_stream_stop."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str]] = {}
        self.open: dict[str, str] = {}
        "Turn to its message whose words are coming."
        self.sentences: dict[str, int] = {}
        "Message to its last sentence."

    def on_text_stream_start(self, message: Message) -> None:
        turn, name = message["turn_id"], message["message_id"]
        require(name not in self.known, "each text stream has a `message_id` of its own")
        require(turn not in self.open, "text streams come one after the other")
        self.known[name] = (turn, message["character_name"])
        self.open[turn] = name

    def on_text_chunk(self, message: Message) -> None:
        name, index = message["message_id"], message["sentence_index"]
        require(name in self.open.values(), "`text_chunk` stands between start and stop of its stream")
        follows = index == self.sentences.get(name, index - 1) + 1
        require(follows, "the `text_chunk`s of a message count up by one")
        self.sentences[name] = index

    def on_text_stream_stop(self, message: Message) -> None:
        name = message["message_id"]
        require(name in self.open.values(), "`text_stream_stop` ends a stream that was started, once")
        del self.open[message["turn_id"]]

    def on_audio_stream_start(self, message: Message) -> None:
        stream = (message["turn_id"], message["character_name"])
        same = self.known.get(message["message_id"]) == stream
        require(same, "an audio stream has message, turn and character of a text stream")

    def on_turn_complete(self, message: Message) -> None:
        require(message["turn_id"] not in self.open, "every text stream is stopped before `turn_complete`")


class SoundInOrder(Rule):
    """Sound follows its audio_stream_start and its text_chunk; sentences come in order, chunks count from 0 in each."""

    def __init__(self) -> None:
        self.written: set[tuple[str, int]] = set()
        self.current: dict[str, str] = {}
        "Turn to the message whose sound is coming."
        self.last: dict[str, tuple[int, int]] = {}
        "Message to sentence and chunk of its last sound; empty again when its stream begins again."

    def on_text_chunk(self, message: Message) -> None:
        self.written.add((message["message_id"], message["sentence_index"]))

    def on_audio_stream_start(self, message: Message) -> None:
        self.current[message["turn_id"]] = message["message_id"]
        self.last.pop(message["message_id"], None)

    def on_audio_chunk_meta(self, message: Message) -> None:
        name, sentence, chunk = (message[field] for field in ("message_id", "sentence_index", "chunk_index"))
        is_current = self.current.get(message["turn_id"]) == name
        require(is_current, "the sound of a message follows its `audio_stream_start`")
        require((name, sentence) in self.written, "a sentence's `text_chunk` comes before its sound")
        last_sentence, last_chunk = self.last.get(name, (sentence, -1))
        require(sentence >= last_sentence, "the sound of sentences comes in their order")
        due = last_chunk + 1 if sentence == last_sentence else 0
        require(chunk == due, "`chunk_index` counts from 0 in each sentence")
        self.last[name] = (sentence, chunk)


class AudioComplete(Rule):
    """audio_complete follows the last sound of a turn that was not cut off, and precedes its turn_complete."""

    def __init__(self) -> None:
        self.sounding: set[str] = set()
        self.complete: set[str] = set()
        self.cut: set[str] = set()

    def on_audio_stream_start(self, message: Message) -> None:
        turn = message["turn_id"]
        require(turn not in self.complete, "no sound follows `audio_complete`")
        self.sounding.add(turn)
        self.cut.discard(turn)

    def on_audio_chunk_meta(self, message: Message) -> None:
        require(message["turn_id"] not in self.complete, "no sound follows `audio_complete`")

    def on_audio_complete(self, message: Message) -> None:
        turn = message["turn_id"]
        require(turn not in self.complete, "`audio_complete` comes once")
        require(turn not in self.cut, "a turn that was cut off has no `audio_complete`")
        self.complete.add(turn)

    def on_interrupted(self, message: Message) -> None:
        # What was sent already was not all heard: it may begin again.
        self.complete.discard(message["turn_id"])
        self.cut.add(message["turn_id"])

    def on_turn_complete(self, message: Message) -> None:
        turn = message["turn_id"]
        is_whole = turn in self.sounding - self.cut and message["outcome"] != "cancelled"
        require(not is_whole or turn in self.complete, "`audio_complete` precedes `turn_complete`")


class Interruptions(Rule):
    """After interrupted no sound of that turn follows, unless it begins again with resumed true."""

    def __init__(self) -> None:
        self.silenced: dict[str, str] = {}
        "Turn to what was heard since: nothing yet, `empty` or `words`."
        self.once_silenced: set[str] = set()
        self.begun: dict[str, str] = {}
        "Message with sound to its turn."

    def on_interrupted(self, message: Message) -> None:
        self.silenced[message["turn_id"]] = ""
        self.once_silenced.add(message["turn_id"])

    def on_stt_finished(self, message: Message) -> None:
        for turn, heard in self.silenced.items():
            self.silenced[turn] = "words" if message["text"] or heard == "words" else "empty"

    def on_audio_stream_start(self, message: Message) -> None:
        turn, name, resumed = message["turn_id"], message["message_id"], message["resumed"]
        if turn in self.silenced:
            require(resumed, "after `interrupted` the sound begins again with `resumed` true")
            heard = self.silenced.pop(turn)
            require(heard == "empty", "a reply goes on only when the interruption yielded no words")
        elif turn not in self.once_silenced:
            require(not resumed, "`resumed` is false for a turn that was not interrupted")
            require(name not in self.begun, "a message has one audio stream unless it was interrupted")
        self.begun[name] = turn

    def on_audio_chunk_meta(self, message: Message) -> None:
        require(message["turn_id"] not in self.silenced, "after `interrupted` no sound of that turn follows")

    def on_turn_complete(self, message: Message) -> None:
        has_sound = message["turn_id"] in self.begun.values()
        is_told = message["turn_id"] in self.once_silenced
        is_cut = has_sound and message["outcome"] == "cancelled"
        require(is_told or not is_cut, "sound of a turn that is cancelled was `interrupted` before")
