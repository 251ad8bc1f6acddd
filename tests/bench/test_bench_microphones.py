"""Frames by hand: what the microphones of a measurement send and read."""

import pytest

from bench.microphones import BINARY, TEXT, find_frame, frame


@pytest.mark.parametrize("size", [2, 125, 126, 3200])
def test_a_frame_that_is_sent_keeps_its_payload_as_it_is(size):
    """A zero mask follows the length, and the payload follows the mask."""
    sent = frame(BINARY, b"\x07" * size)
    assert sent[0] == 0x82
    assert sent[1] & 0x80
    assert sent.endswith(bytes(4) + b"\x07" * size)


@pytest.mark.parametrize("head", [b"\x81\x05", b"\x81\x7e\x00\x05", b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x05"])
def test_a_frame_is_read_when_all_of_it_has_come(head):
    """Lengths of one, three and nine bytes are known; what follows the frame is left alone."""
    received = bytearray(head + b"words" + b"\x82")
    opcode, start, end = find_frame(received)
    assert (opcode, received[start:end]) == (TEXT, b"words")
    assert all(find_frame(received[:size]) is None for size in range(len(head) + 5))
