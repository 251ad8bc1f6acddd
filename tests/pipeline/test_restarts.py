"""When dead workers are replaced."""

from __future__ import annotations

from app.pipeline.restarts import MAX_WAIT_S, Restarts


def test_the_first_death_is_followed_at_once() -> None:
    """One kill costs no waiting."""
    restarts = Restarts()
    assert restarts.plan(lived_s=5.0, now_s=100.0) == 0.0
    assert restarts.take_due(100.0) == 1
    assert restarts.take_due(100.0) == 0


def test_early_deaths_double_the_wait() -> None:
    """A worker that dies again and again is started ever more seldom, up to a limit."""
    restarts = Restarts()
    waits = [restarts.plan(lived_s=0.0, now_s=0.0) for _ in range(12)]
    assert waits[:5] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert waits[-1] == MAX_WAIT_S


def test_a_long_life_is_forgiven() -> None:
    """A worker that lived long is replaced at once, whatever was before."""
    restarts = Restarts()
    for _ in range(5):
        restarts.plan(lived_s=0.0, now_s=0.0)
    assert restarts.plan(lived_s=60.0, now_s=0.0) == 0.0


def test_what_is_expected_soon() -> None:
    """Work may wait for a restart that is near."""
    restarts = Restarts()
    for _ in range(3):
        restarts.plan(lived_s=0.0, now_s=100.0)
    assert restarts.are_due_by(101.0)
    assert not restarts.are_due_by(100.1)
