"""Live conversations over the WebSocket with a real service: every message is held against docs/websocket.md."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Iterator

import pytest

from tests.process.live import RATE_HZ, LiveClient, in_loop, new_session, silence, talk
from tests.process.live_service import APOLOGY, LONG, live_config, n_samples, split
from tests.serving import RunningService, serve
from tests.sounds import speech_wav
from tests.speech import read_recording

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serve(live_config()) as running:
        yield running


def check_whole(client: LiveClient, spoken: str) -> None:
    """Check that one reply came with all its words and all its sound."""
    end = client.of("turn_complete")[-1]
    assert (end["outcome"], end["spoken"]) == ("done", spoken)
    assert " ".join(client.texts()) == spoken
    lengths = {index: len(sound) // 2 for index, sound in client.sounds().items()}
    assert lengths == pytest.approx({i: n_samples(text) for i, text in enumerate(client.texts())}, abs=2)


# ---- turns -----------------------------------------------------------------------------------------------------------


@in_loop
async def test_a_typed_turn(service: RunningService) -> None:
    """Typed words are answered in text and sound, all of it and nothing twice."""
    async with talk(service) as client:
        await client.type("Hello there. How are you?")
        assert (await client.until("turn_complete"))["heard"] == "Hello there. How are you?"
        check_whole(client, "You said: Hello there. How are you?")


@pytest.mark.parametrize(("rate", "piece_ms"), [(16_000, 40), (48_000, 10), (8_000, 500)])
@in_loop
async def test_a_spoken_turn(service: RunningService, rate: int, piece_ms: int) -> None:
    """Speech is heard at every rate and in pieces of every length, and its end is found."""
    async with talk(service) as client:
        await client.speak(rate=rate, piece_ms=piece_ms)
        end = await client.until("turn_complete")
        assert end["heard"] == client.of("stt_finished")[0]["text"] == "I heard 2 seconds."
        check_whole(client, "You said: I heard 2 seconds.")


@in_loop
async def test_push_to_talk(service: RunningService) -> None:
    """The utterance is exactly what was sent between start and stop, speech or not."""
    async with talk(service) as client:
        await client.send("start_listening", mode="push_to_talk")
        await client.send_sound(b"\1\0" * (4 * RATE_HZ))
        await client.send("stop_listening")
        assert (await client.until("turn_complete"))["heard"] == "I heard 4 seconds."


@in_loop
async def test_a_recording(service: RunningService) -> None:
    """A person's words are found among silence, by the real detector."""
    with wave.open(io.BytesIO(read_recording("goforward.wav"))) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1)
        spoken = file.readframes(file.getnframes())
    async with talk(service) as client:
        await client.speak(silence(0.5) + spoken)
        assert (await client.until("turn_complete"))["heard"].startswith("I heard")


@in_loop
async def test_a_turn_that_fails(service: RunningService) -> None:
    """A language model that fails is apologised for, and the next turn is answered."""
    async with talk(service) as client:
        await client.type("Please break now.")
        failed = await client.until("turn_complete")
        assert (failed["outcome"], failed["spoken"]) == ("failed", APOLOGY)
        assert failed["reason"].startswith("backend-")
        assert len(client.sounds()[0]) // 2 == pytest.approx(n_samples(APOLOGY), abs=2)
        await client.type("And now?")
        assert (await client.until("turn_complete"))["outcome"] == "done"


# ---- what others say -------------------------------------------------------------------------------------------------


@in_loop
async def test_announcements_and_uploads_are_heard(service: RunningService) -> None:
    """The connection plays what `POST /say` says and what an upload to its session is answered."""
    session = new_session()
    async with talk(service, session) as client:
        response = await asyncio.to_thread(service.post, f"/say?session={session}", json={"text": "Dinner is ready."})
        assert response.ok, response.text
        assert (await client.until("turn_complete"))["spoken"] == "Dinner is ready."
        upload = await asyncio.to_thread(service.post, f"/upload?session={session}", data=speech_wav(5, seconds=3.0))
        end = await client.until("turn_complete", turn_id=upload.json()["turn"])
        assert (end["heard"], end["spoken"]) == ("I heard 3 seconds.", "You said: I heard 3 seconds.")
        assert sum(map(len, client.sounds().values())) // 2 == pytest.approx(
            n_samples("Dinner is ready." + end["spoken"]), abs=4
        )


# ---- connections -----------------------------------------------------------------------------------------------------


@in_loop
async def test_the_rest_of_a_reply_is_heard_on_the_next_connection(service: RunningService) -> None:
    """A connection that breaks in mid-reply loses nothing: the sentence that was cut is heard anew."""
    session, sentences = new_session(), split(f"You said: {LONG}")
    async with talk(service, session) as client:
        await client.type(LONG)
        await client.until("audio_chunk_meta", sentence_index=1)
        client.leaves_early = True
        client.break_off()
    async with talk(service, session) as client:
        end = await client.until("turn_complete")
        assert (end["outcome"], end["spoken"]) == ("done", " ".join(sentences))
        rest = client.sounds()
        assert min(rest) in (0, 1)
        assert {i: len(rest[i]) // 2 for i in rest} == pytest.approx(
            {i: n_samples(sentences[i]) for i in range(min(rest), len(sentences))}, abs=2
        )


@in_loop
async def test_a_newer_connection_replaces_the_older(service: RunningService) -> None:
    """The older one is told so and closed with 4001; the newer one hears the reply."""
    session = new_session()
    async with talk(service, session) as older:
        await older.type(LONG)
        await older.until("audio_chunk_meta")
        async with talk(service, session) as newer:
            assert await older.hear_end() == 4001
            assert older.of("error")[-1]["code"] == "replaced"
            older.leaves_early = True
            assert (await newer.until("turn_complete"))["outcome"] == "done"


# ---- settings --------------------------------------------------------------------------------------------------------


@in_loop
async def test_settings(service: RunningService) -> None:
    """Good settings are taken and told, null goes back to the default, and a wrong one changes nothing."""
    async with talk(service) as client:
        assert (client.received[0]["models"], client.received[0]["voices"]) == (["small", "big"], ["fake/bass"])
        await client.send("model_settings", model="big", temperature=0.3, voice="fake/bass")
        chosen = await client.until("settings")
        assert (chosen["model"], chosen["temperature"], chosen["voice"]) == ("big", 0.3, "fake/bass")
        wrong = ({"model": "huge"}, {"temperature": "hot"}, {"voice": 5}, {"character": "Anna"}, {"colour": "red"})
        for data in (*wrong, {"model": "small", "voice": "nobody"}):
            await client.send("model_settings", **data)
            assert (await client.until("error"))["code"] == "bad-settings"
        await client.send("model_settings", temperature=None)
        assert await client.until("settings") == {**chosen, "temperature": None}
