"""What an unfinished utterance sounds like so far, by decoders that are lent to one utterance at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.audio.pcm import BYTES_PER_SAMPLE, SPEECH_RATE_HZ
from app.stt.sphinx_decoders import decode_whole, words_of

_TOO_SLOW_S = 0.2
"""A look that took longer than that is the last one of its utterance: the machine has other work."""


class Glimpser:
    """Looks at one piece of speech after the other while it grows; each look takes the new sound only."""

    def __init__(self, free: deque[Any], clock: Callable[[], float]) -> None:
        """free: decoders that nobody uses, shared with other utterances."""
        self._free = free
        self._clock = clock
        self._decoder: Any = None
        self._n_heard = 0
        self._has_time = True

    def look(self, pcm16: bytes) -> str | None:
        """Return the words so far; None when no decoder is free, or the machine is too busy.

        pcm16: the piece from its beginning; it begins with what the look before was given.
        """
        if not self._has_time or (self._decoder is None and not self._free):
            return None
        if len(pcm16) < self._n_heard:
            self.end()  # The piece before was no speech after all.
        if self._decoder is None and not self._begin(pcm16):
            return None
        began_at_s = self._clock()
        self._decoder.process_raw(pcm16[self._n_heard :])
        self._n_heard = len(pcm16)
        words = words_of(self._decoder.hyp())
        if self._clock() - began_at_s > _TOO_SLOW_S:
            self._has_time = False
            self.end()
        return words

    def end(self) -> None:
        """Give the decoder back; the next look begins a new piece."""
        if self._decoder is not None:
            self._decoder.end_utt()
            self._free.append(self._decoder)
        self._decoder, self._n_heard = None, 0

    def _begin(self, pcm16: bytes) -> bool:
        try:
            decoder = self._free.pop()
        except IndexError:
            return False
        # The microphone is learnt from the first words at once: without it a decoder needs seconds to get used to it.
        decode_whole(decoder, pcm16)
        cepstral_mean = decoder.get_cmn()
        decoder.reinit_feat()
        decoder.set_cmn(cepstral_mean)
        decoder.start_utt()
        self._decoder = decoder
        return True


class ArrivalPace:
    """Tells speech that is being spoken from a recording that is there at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at_s = clock()
        self._n_bytes = 0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks on."""
        for chunk in chunks:
            self._n_bytes += len(chunk)
            yield chunk

    def is_live(self) -> bool:
        """Say whether the speech arrives about as slowly as it is spoken.

        An utterance begins with sound from before it was noticed: it may be ahead by as much as it has taken.
        """
        received_s = self._n_bytes / (BYTES_PER_SAMPLE * SPEECH_RATE_HZ)
        return self._clock() - self._began_at_s >= received_s / 2
