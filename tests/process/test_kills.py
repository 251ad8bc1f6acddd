"""Workers that are killed, a hub that is killed, and many sessions at once: every turn still ends as it should."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

import psutil
import pytest

from tests.serving import RunningService, fetch_reply, serve, with_fakes
from tests.sounds import speech_wav

pytestmark = pytest.mark.process
STAGES = ("stt", "llm", "tts", "analysis")


def workers(service: RunningService, stage: str) -> list[psutil.Process]:
    """Return the living worker processes of a stage, by the name that each gives itself."""
    found = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        try:
            if process.name() == f"voice-{stage}" and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll processes that cannot tell us: true as soon as the condition holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def talk_in_many_sessions(
    service: RunningService, n_sessions: int
) -> tuple[list[threading.Thread], dict[int, list[str]]]:
    """Start one turn in each of many sessions; the threads end when all of its audio was fetched."""
    heard: dict[int, list[str]] = {}

    def one(number: int) -> None:
        assert service.post(f"/upload?session=s{number}", data=speech_wav(number)).status_code == 200
        heard[number] = [unquote(s.headers["X-Text"]) for s in fetch_reply(service, f"&session=s{number}")]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, n_sessions + 1)]
    for thread in threads:
        thread.start()
    return threads, heard


@pytest.mark.parametrize("stage", STAGES)
def test_fifty_turns_survive_the_death_of_a_worker(stage: str) -> None:
    """SIGKILL while the worker is at work on 50 turns: all of them end with all of their audio."""
    slow = {"fake": {"delay_s": 0.05}, "concurrency": 2}
    with serve(with_fakes(stt=slow, llm=slow, tts=slow, analysis=slow)) as service:
        threads, heard = talk_in_many_sessions(service, 50)
        n_killed = 0
        while len(heard) < 50 and n_killed < 3:
            if service.get("/health").json()["stages"][stage]["running"] == 2:
                n_killed += kill_once(service, stage)
        for thread in threads:
            thread.join(60)
        assert n_killed > 0
        assert heard == {n: [f"You said utterance {n}.", "That was turn 1."] for n in range(1, 51)}
        assert wait_for(lambda: service.get("/ready").ok, 30)


def kill_once(service: RunningService, stage: str) -> int:
    """Kill the worker of a stage, and return how many that were."""
    victims = workers(service, stage)
    for victim in victims:
        victim.kill()
        victim.wait(10)
    return len(victims)


def test_no_child_outlives_a_killed_hub() -> None:
    """When the hub is killed all of its workers are gone within 5 s, and the server starts a new hub."""
    with serve(with_fakes()) as service:
        (hub,) = psutil.Process(service.process.pid).children()
        children = hub.children(recursive=True)
        assert len(children) >= len(STAGES)
        os.kill(hub.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive
        assert wait_for(lambda: _is_ready(service), 60)


def _is_ready(service: RunningService) -> bool:
    try:
        return service.get("/ready").ok
    except OSError:
        return False


def test_a_hundred_sessions_at_once() -> None:
    """Every segment is delivered exactly once and in order, in each of 100 sessions."""
    with serve(with_fakes()) as service:
        threads, heard = talk_in_many_sessions(service, 100)
        for thread in threads:
            thread.join(60)
        assert heard == {n: [f"You said utterance {n}.", "That was turn 1."] for n in range(1, 101)}


def test_a_worker_that_dies_of_its_work() -> None:
    """A job that kills every worker is given up with an apology; the next turn is answered."""
    with serve(with_fakes(stt={"fake": {"fail": "crash", "fail_on": "utterance 13"}})) as service:
        service.post("/upload?session=bad", data=speech_wav(13))
        (apology,) = fetch_reply(service, "&session=bad")
        assert unquote(apology.headers["X-Text"]).startswith("Sorry")
        service.post("/upload?session=good", data=speech_wav(14))
        assert len(fetch_reply(service, "&session=good")) == 2


def test_a_turn_in_progress_is_finished_at_sigterm() -> None:
    """The open turn is answered to its end, a new one is refused, and then the service is gone."""
    slow = {"fake": {"delay_s": 0.1}}
    with serve(with_fakes(server={"drain_timeout_s": 20}, llm=slow)) as service:
        service.post("/upload", data=speech_wav(5))
        service.process.terminate()
        assert wait_for(lambda: service.get("/ready").status_code == 503, 10)
        refused = service.post("/upload", data=speech_wav(6))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")
        assert len(fetch_reply(service)) == 2
        service.process.wait(15)


def test_a_backend_that_hangs_is_left_for_the_next() -> None:
    """The time limit turns to the next backend in the list; the turn is answered."""
    hangs = {"backends": ["slow", "fake"], "slow": {"engine": "fake", "fail": "hang"}, "first_item_timeout_s": 0.3}
    with serve(with_fakes(llm=hangs)) as service:
        service.post("/upload", data=speech_wav(5))
        assert len(fetch_reply(service)) == 2


def test_sessions_of_two_tokens_are_apart() -> None:
    """A device sees only its own sessions; no token, no service; an administrator reaches everyone."""
    tokens = {"kitchen": "kitchen-token", "attic": "attic-token", "boss": {"token": "boss-token", "admin": True}}
    with serve(with_fakes(server={"tokens": tokens})) as service:
        as_kitchen, as_attic, as_boss = ({"Authorization": f"Bearer {n}-token"} for n in ("kitchen", "attic", "boss"))
        assert service.get("/audio").status_code == 401
        assert service.get("/health").status_code == 200
        turn = service.post("/upload?session=x", data=speech_wav(5), headers=as_kitchen).json()
        assert turn["session"] == "kitchen/x"
        assert service.get(f"/turns/{turn['turn']}?session=x", headers=as_attic).status_code == 404
        assert service.get(f"/turns/{turn['turn']}?session=kitchen/x", headers=as_attic).status_code == 400
        assert service.get(f"/turns/{turn['turn']}?session=kitchen/x", headers=as_boss).status_code == 200
        assert service.get("/metrics", headers=as_attic).status_code == 403
        assert service.get("/audio?session=x&token=kitchen-token").status_code == 200
        service.post("/say?session=attic", json={"text": "Hello."}, headers=as_boss)
        assert service.get("/audio", headers=as_attic).status_code == 200
