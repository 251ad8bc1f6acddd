"""Speech, a cough, a message and a stop over a long reply, with a real service and a real voice detector."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest

from tests.process.live import LiveClient, Message, in_loop, new_session, silence, speech, talk
from tests.process.live_service import LONG, live_config, split
from tests.serving import RunningService, serve

pytestmark = pytest.mark.process

SENTENCES = split(f"You said: {LONG}")
TOLERANCE = 700
"""Of 16 bits: a place half a sample beside the right one of a hum differs by no more."""
EDGE_SAMPLES = 100


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(live_config()) as running:
        yield running


@pytest.fixture(autouse=True)
def _awake(service: RunningService) -> None:
    """Have the detector loaded, so that what a test speaks over a reply is judged while the reply lasts."""
    wake_up(service)


@in_loop
async def wake_up(service: RunningService) -> None:
    async with talk(service, "awake") as client:
        await client.speak(speech("Hello."))
        await client.until("turn_complete")


async def begin_long_reply(client: LiveClient) -> str:
    """Have a reply spoken, and return its turn when it sounds."""
    await client.type(LONG)
    await client.until("audio_chunk_meta")
    return str(client.of("text_stream_start")[-1]["turn_id"])


@in_loop
async def test_speech_interrupts_a_reply(service: RunningService) -> None:
    """The reply is silent at once, is cancelled when words are understood, and these are answered."""
    async with talk(service) as client:
        first = await begin_long_reply(client)
        # Sent two seconds before it is due: the first words have been heard then.
        await client.until("audio_chunk_meta", sentence_index=4)
        await client.speak()
        assert (await client.until("interrupted"))["turn_id"] == first
        second = (await client.until("speech_started"))["turn_id"]
        assert (await client.until("stt_finished"))["turn_id"] == second
        cut = await client.until("turn_complete", turn_id=first)
        assert (cut["outcome"], cut["reason"]) == ("cancelled", "new-utterance")
        assert 0 < len(cut["spoken"]) < len(" ".join(SENTENCES)) - 100
        answer = await client.until("turn_complete", turn_id=second)
        assert (answer["outcome"], answer["spoken"]) == ("done", "You said: I heard 2 seconds.")


@in_loop
async def test_a_cough_does_not_end_a_reply(service: RunningService) -> None:
    """The reply goes on at the very place where it was cut: each of its samples is heard once."""
    whole = await hear_undisturbed(service)
    async with talk(service) as client:
        turn = await begin_long_reply(client)
        await client.until("audio_chunk_meta", sentence_index=1)
        await client.speak(speech("Hello."))
        await client.until("interrupted", turn_id=turn)
        await client.until("stt_finished", text="")
        n_before = len(client.received)
        end = await client.until("turn_complete", turn_id=turn)
        assert (end["outcome"], end["spoken"]) == ("done", " ".join(SENTENCES))
        before, after = client.received[:n_before], client.received[n_before:]
        (resumed,) = [message for message in after if message["type"] == "audio_stream_start"]
        assert resumed["resumed"]
        check_seam(whole, client, before, after)


async def hear_undisturbed(service: RunningService) -> dict[int, bytes]:
    """Return the sound of each sentence of the long reply."""
    async with talk(service) as client:
        await client.type(LONG)
        await client.until("turn_complete")
        return client.sounds()


def check_seam(whole: dict[int, bytes], client: LiveClient, before: list[Message], after: list[Message]) -> None:
    """Check that what came before and behind a cut make the whole, when the client drops what it did not play."""
    early, late = client.sounds(before), client.sounds(after)
    cut = min(late)
    assert sorted(late) == list(range(cut, len(SENTENCES)))
    for index, sound in early.items():
        check_same(sound, whole[index][: len(sound)])
    for index, sound in late.items():
        start = len(whole[index]) - len(sound)
        assert start >= 0 if index == cut else start == 0
        check_same(sound, whole[index][start:])
    # What was sent before reaches at least to the cut.
    assert list(early)[:cut] == list(range(cut))
    assert len(early[cut]) + len(late[cut]) >= len(whole[cut])


def check_same(sound: bytes, expected: bytes) -> None:
    """Check that two sounds are the same but for their edges, where a resampler has begun anew."""
    ours, theirs = (array("h", pcm16)[EDGE_SAMPLES:-EDGE_SAMPLES] for pcm16 in (sound, expected))
    assert max((abs(a - b) for a, b in zip(ours, theirs, strict=True)), default=0) <= TOLERANCE


@in_loop
async def test_a_message_interrupts_a_reply(service: RunningService) -> None:
    """A typed message ends the reply in progress and is answered."""
    async with talk(service) as client:
        first = await begin_long_reply(client)
        await client.type("Stop that.")
        assert (await client.until("interrupted"))["turn_id"] == first
        cut = await client.until("turn_complete")
        assert (cut["turn_id"], cut["outcome"], cut["reason"]) == (first, "cancelled", "new-message")
        assert (await client.until("turn_complete"))["spoken"] == "You said: Stop that."


@in_loop
async def test_interrupt_stops_a_reply(service: RunningService) -> None:
    """`interrupt` ends the reply, and again does nothing; the next turn is answered."""
    async with talk(service) as client:
        first = await begin_long_reply(client)
        await client.send("interrupt")
        cut = await client.until("turn_complete")
        assert (cut["turn_id"], cut["outcome"], cut["reason"]) == (first, "cancelled", "interrupted")
        await client.send("interrupt")
        assert await client.settle() == []
        await client.type("Go on.")
        assert (await client.until("turn_complete"))["outcome"] == "done"


@in_loop
async def test_a_stop_in_mid_speech(service: RunningService) -> None:
    """`interrupt` while somebody speaks over a reply ends both, and the microphone goes on to work."""
    async with talk(service) as client:
        first = await begin_long_reply(client)
        await client.send("start_listening")
        await client.send_sound(speech())
        second = (await client.until("speech_started"))["turn_id"]
        await client.send("interrupt")
        ends = {end["turn_id"]: end["outcome"] for end in [await client.until("turn_complete") for _ in range(2)]}
        assert ends == {first: "cancelled", second: "cancelled"}
        await client.send_sound(silence(1.0) + speech() + silence(1.0))
        assert (await client.until("turn_complete"))["heard"].startswith("I heard")


@in_loop
async def test_nobody_interrupts_where_it_is_off(service: RunningService) -> None:
    """With `interrupt_speaking_ms` 0 speech over a reply is not heard."""
    async with talk(service, new_session()) as client:
        first = await begin_long_reply(client)
        await client.speak(interrupt_speaking_ms=0, interrupt_thinking_ms=0)
        assert (await client.until("turn_complete"))["turn_id"] == first
        assert not client.of("interrupted")
        assert not client.of("speech_started")
