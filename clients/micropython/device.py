"""A device with a button: what is said while it is held goes to Earshot, and what Earshot says is played.

It never gives up: what goes wrong is printed in one line, and tried again after a while or when the button is pressed.
"""

from time import sleep_ms, ticks_diff, ticks_ms  # type: ignore[attr-defined]

from connection import Connection, Refused

try:
    from typing import Any
except ImportError:
    Any = None  # type: ignore[assignment,misc]  # MicroPython has no typing, and does not look at annotations

RATE_HZ = 16000
CHUNK_BYTES = 3200
"""A tenth of a second."""
WAIT_S = 30
"""How long the server holds a question for audio."""
HEARTBEAT_MS = 30000
DEBOUNCE_MS = 30
LOST_WAIT_S = (1, 2, 4, 8, 15, 30)
"""Before the server is tried again, from the first failure on."""
REFUSED_WAIT_S = 30
"""After an answer that will not change by itself, such as 401."""
FAULT_WAIT_S = 5


class Device:
    """The one loop of the device.

    board: has is_pressed(), start_recording(), record_into(buffer) -> bytes, stop_recording(), start_playing(),
    play(buffer), stop_playing() when all was heard, cut_playing() at once; sound is PCM16 at RATE_HZ.  network: has
    bring_up().
    """

    def __init__(self, connection: Connection, board: "Any", network: "Any", max_recording_s: float) -> None:
        self._connection = connection
        self._board = board
        self._network = network
        self._max_recording_bytes = int(max_recording_s * RATE_HZ) * 2
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._was_pressed = False
        self._wants_to_ask = False
        self._is_playing = False
        self._n_lost = 0
        self._beat_ms: int | None = None

    def run(self) -> None:
        """Serve for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Take one question or one sentence, or wait for one; returns whatever went wrong."""
        try:
            if self._is_asking():
                self._ask()
            else:
                self._hear()
            self._n_lost = 0
        except Refused as error:
            self._stop(f"refused: {error.status} {error.message}", error.wait_s or REFUSED_WAIT_S)
        except OSError as error:
            wait_s = LOST_WAIT_S[min(self._n_lost, len(LOST_WAIT_S) - 1)]
            self._n_lost += 1
            self._stop(f"the server cannot be reached ({error})", wait_s)
            self._network.bring_up()
        except Exception as error:
            # A fault of ours must not end the device; the board would be silent until somebody resets it.
            self._stop(f"a fault of the device: {type(error).__name__} {error}", FAULT_WAIT_S)

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Send what is said while the button is held; the answer is heard afterwards."""
        if self._is_playing:
            self._is_playing = False
            self._board.cut_playing()
        self._wants_to_ask = False
        # The microphone starts first and buffers, so that the first word is not lost while the connection is opened.
        self._board.start_recording()
        try:
            self._connection.post("/upload?interrupt=1", f"audio/L16;rate={RATE_HZ}")
            n_sent = self._send_speech()
        finally:
            self._board.stop_recording()
        self._connection.end_body()
        self._connection.wait_for_answer(WAIT_S, lambda: False)
        self._connection.read_head()
        self._connection.skip_body()
        print(f"asked: {n_sent / 2 / RATE_HZ:.1f} s")

    def _send_speech(self) -> int:
        n_sent = 0
        while self._board.is_pressed() and n_sent < self._max_recording_bytes:
            n_read = self._board.record_into(self._buffer)
            if not n_read:
                break
            if self._connection.is_answered():
                # Before the body is complete this can only be a refusal.
                self._connection.read_head()
                raise OSError("the server did not wait for the question")
            self._connection.send(self._buffer[:n_read])
            n_sent += n_read
        return n_sent

    # ---- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Wait for the next sentence and play it; a press of the button ends the waiting and the playing."""
        self._beat()
        begun_ms = ticks_ms()
        self._connection.get(f"/audio?format=pcm&rate={RATE_HZ}&timeout={WAIT_S}")
        if not self._connection.wait_for_answer(WAIT_S + 10, self._is_asking):
            self._connection.close()
            return
        try:
            status = self._connection.read_head()
        except Refused as error:
            if error.code != "nothing-yet":
                raise
            if ticks_diff(ticks_ms(), begun_ms) < 2000:
                # All places for waiting were taken at the server.
                self.rest(error.wait_s or 1)
            return
        if status == 200:
            self._play_body()
        self._connection.skip_body()
        if status == 204:
            self._stop_playing()

    def _play_body(self) -> None:
        if not self._is_playing:
            self._board.start_playing()
            self._is_playing = True
        while n_read := self._connection.read_into(self._buffer):
            if self._is_asking():
                self._connection.close()
                break
            self._board.play(self._buffer[:n_read])

    def _beat(self) -> None:
        """Tell the server now and then that the device is there; it is then listed in /devices."""
        if self._beat_ms is not None and ticks_diff(ticks_ms(), self._beat_ms) < HEARTBEAT_MS:
            return
        self._connection.get("/heartbeat")
        if self._connection.wait_for_answer(WAIT_S, self._is_asking):
            self._connection.read_head()
            self._connection.skip_body()
            self._beat_ms = ticks_ms()
        else:
            self._connection.close()

    # ---- the button, and what goes wrong -----------------------------------------------------------------------------

    def _is_asking(self) -> bool:
        """Say whether the button was pressed since it was last let go, and the question was not yet taken."""
        is_pressed = self._board.is_pressed()
        if is_pressed and not self._was_pressed:
            sleep_ms(DEBOUNCE_MS)
            is_pressed = self._board.is_pressed()
            self._wants_to_ask = is_pressed
        self._was_pressed = is_pressed
        return self._wants_to_ask

    def _stop(self, problem: str, wait_s: int) -> None:
        print(f"{problem}; trying again in {wait_s} s")
        self._connection.close()
        self._stop_playing()
        self._wants_to_ask = False
        self.rest(wait_s)

    def _stop_playing(self) -> None:
        if self._is_playing:
            self._is_playing = False
            self._board.stop_playing()

    def rest(self, wait_s: int) -> None:
        """Wait so long, or until the button is pressed anew."""
        begun_ms = ticks_ms()
        while ticks_diff(ticks_ms(), begun_ms) < wait_s * 1000 and not self._is_asking():
            sleep_ms(20)
