"""The arithmetic of the measurements."""

import math

import pytest

from bench.figures import Budget, median_of, quantile, spread
from bench.turns import WARM_UP_S, Load, PlayedTurn, hops, schedule, summary


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_quantile_is_the_smallest_value_that_covers_its_share(share, value):
    """Of 1 to 100, 99 % are no larger than 99."""
    assert quantile(range(100, 0, -1), share) == value


def test_nothing_measured_is_no_number():
    """Quantiles of nothing are nan, and no budget is met by them."""
    assert math.isnan(quantile([], 0.5))
    assert Budget("x_ms", 5.0).verdict(math.nan) == "not measured"


def test_a_missed_budget_says_by_how_much():
    """The verdict is honest about the distance."""
    assert Budget("x_ms", 5.0).verdict(5.0) == "met"
    assert Budget("x_ms", 5.0).verdict(15.0) == "MISSED by 3.00 x"


def test_spread_is_in_milliseconds():
    """Seconds become quantiles in milliseconds."""
    assert spread("wait", [0.001, 0.003]) == {
        "wait_p50_ms": 1.0, "wait_p95_ms": 3.0, "wait_p99_ms": 3.0, "wait_max_ms": 3.0,
    }  # fmt: skip


def test_median_takes_each_figure_from_the_runs_that_have_it():
    """A figure that one run lacks is the median of the others."""
    assert median_of([{"a": 1, "b": 5}, {"a": 3}, {"a": 2}]) == {"a": 2, "b": 5}


def test_turns_are_due_at_the_asked_rate_and_the_same_each_time():
    """The schedule is random, and yet equal for both sides of a comparison."""
    load = Load(rate=50, seconds=20, n_devices=7, speech_s=5, is_even=False)
    turns = schedule(load, begin_at_s=100.0)
    assert turns == schedule(load, begin_at_s=100.0)
    assert len(turns) == pytest.approx(50 * (20 + WARM_UP_S), rel=0.1)
    assert {turn.device for turn in turns} == set(range(7))


def test_latency_counts_from_the_time_at_which_the_turn_was_due():
    """A client that sends late does not make the service look faster."""
    turn = PlayedTurn(due_at_s=10.0, device=0, sent_at_s=10.5, uploaded_at_s=10.6, first_at_s=11.0, ended_at_s=12.0)
    figures = summary([turn])
    assert figures["latency_p50_ms"] == pytest.approx(1000)
    assert figures["client_late_p50_ms"] == pytest.approx(500)
    assert figures["upload_p50_ms"] == pytest.approx(100)


def test_failed_turns_count_as_the_longest_latency():
    """A service cannot look fast by failing."""
    figures = summary([PlayedTurn(due_at_s=1.0, device=0, failure="upload-503")])
    assert (figures["turns_failed"], figures["turns_answered"]) == (1, 0)
    assert figures["latency_p50_ms"] == 30_000


def test_hops_add_up_to_the_latency():
    """What the hub's marks do not cover is shown as outside."""
    names = ("received", "uploaded", "started", "transcript", "prompt")
    names += ("first_token", "first_sentence", "first_speech", "first_fetch")
    turn = PlayedTurn(due_at_s=0.0, device=0, sent_at_s=0.0, first_at_s=0.020)
    turn.waterfall_ms = {name: 2.0 * n for n, name in enumerate(names)}
    assert sum(hops([turn]).values()) == pytest.approx(20)
