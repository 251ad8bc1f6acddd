"""The thread that listens to all live microphones: one run of the voice detector serves them all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from app.audio.vad import VoiceDetector
from app.conversation.microphone import Microphone

log = logging.getLogger(__name__)
ROUND_S = 0.006
"""How often the microphones are asked for sound.  The shorter, the smaller the batches and the more they cost."""
REST = 2.0
"""After a round they are left alone for so many times its length: the service needs the core for other things too."""

FAULT_S = 1.0


class Ears:
    """Listens to microphones.  `add` and `stop` may be called from any thread."""

    def __init__(self, load_detector: Callable[[], VoiceDetector]) -> None:
        self._load_detector = load_detector
        self._detector: VoiceDetector | None = None
        self._lock = threading.Lock()
        self._microphones: list[Microphone] = []
        self._has_microphones = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._microphones)

    def add(self, microphone: Microphone) -> None:
        """Listen to a microphone until it is finished."""
        self.follow(microphone)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ears", daemon=True)
                self._thread.start()

    def follow(self, microphone: Microphone) -> None:
        """Take a microphone in, for whoever calls `listen_once`."""
        with self._lock:
            self._microphones = [*self._microphones, microphone]
        self._has_microphones.set()

    def stop(self) -> None:
        """Listen no more."""
        self._is_stopping = True
        self._has_microphones.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping:
            self._has_microphones.wait()
            began_s = time.monotonic()
            try:
                self.listen_once()
            except Exception:
                # Without ears no live microphone is ever answered again: better late than never.
                log.exception("the voice detector has a fault")
                time.sleep(FAULT_S)
            if not self._is_behind():
                took_s = time.monotonic() - began_s
                time.sleep(max(ROUND_S - took_s, REST * took_s))

    def _is_behind(self) -> bool:
        """Say whether sound waits already: of large frames, or since the machine was busy."""
        return any(m.has_window for m in self._microphones)

    def listen_once(self) -> bool:
        """Take one window of every microphone that has one; false when none had."""
        ready = [(m, window) for m in self._microphones if (window := m.next_window()) is not None]
        self._let_go()
        if not ready:
            return False
        if self._detector is None:
            self._detector = self._load_detector()
        detector = self._detector
        detected = [(m, window) for m, window in ready if m.needs_detector]
        for microphone, _ in detected:
            if microphone.stream is None:
                microphone.stream = detector.new_stream()
        probabilities = detector.probabilities([m.stream for m, _ in detected], [w for _, w in detected])
        for (microphone, window), probability in zip(detected, probabilities, strict=True):
            _tell(microphone.hear, window, probability)
        for microphone, window in ready:
            if not microphone.needs_detector:
                _tell(microphone.hear_pushed, window)
        return True

    def _let_go(self) -> None:
        with self._lock:
            if any(m.is_finished for m in self._microphones):
                self._microphones = [m for m in self._microphones if not m.is_finished]
                if not self._microphones:
                    self._has_microphones.clear()


def _tell(hear: Callable[..., None], *heard: object) -> None:
    try:
        hear(*heard)
    except Exception:
        log.exception("a microphone has a fault")
