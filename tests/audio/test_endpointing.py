"""Where utterances begin and end, given how likely each window is speech."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.endpointing import MAX_ONSET_MS, Endpoint, Endpointer, EndpointRules
from app.audio.windows import WINDOW_MS
from app.config_sections import ListeningConfig

RULES = EndpointRules()
"""96 ms (three windows) begin an utterance and 600 ms (19 windows) of silence end it."""

N_TO_START, N_TO_END = 3, 19
YES, MAYBE, NO = 0.9, 0.4, 0.05

PROBABILITIES = st.one_of(
    st.lists(st.floats(0, 1), max_size=300),
    # Stretches, as in speech.
    st.lists(st.tuples(st.sampled_from((YES, MAYBE, NO)), st.integers(1, 60)), max_size=12).map(
        lambda runs: [probability for probability, n in runs for _ in range(n)]
    ),
)
SOME_RULES = st.builds(
    EndpointRules,
    threshold=st.floats(0.05, 0.95),
    start_ms=st.floats(32, 2000),
    silence_ms=st.floats(100, 5000),
    adaptive_silence=st.booleans(),
    min_silence_ms=st.floats(100, 5000),
    max_silence_ms=st.floats(100, 5000),
    max_utterance_s=st.floats(1, 10),
)


def push_all(endpointer: Endpointer, probabilities: Iterable[float]) -> list[tuple[int, Endpoint]]:
    """Push windows and return where something happened."""
    found = [(i, endpointer.push(probability)) for i, probability in enumerate(probabilities)]
    return [(i, endpoint) for i, endpoint in found if endpoint is not Endpoint.NONE]


def begun(rules: EndpointRules = RULES) -> Endpointer:
    """Return an endpointer in the middle of an utterance."""
    endpointer = Endpointer(rules)
    push_all(endpointer, [YES] * 70)
    assert endpointer.in_speech
    return endpointer


def test_the_rules_are_settings() -> None:
    """The rules are called and default as the settings of `listening` do."""
    settings = ListeningConfig()
    assert {f.name: getattr(settings, f.name) for f in fields(RULES)} == {
        f.name: getattr(RULES, f.name) for f in fields(RULES)
    }


def test_an_utterance_is_found() -> None:
    """Speech begins an utterance after start_ms, and silence_ms of silence ends it."""
    found = push_all(Endpointer(RULES), [NO] * 10 + [YES] * 30 + [NO] * 30)
    assert found == [(9 + N_TO_START, Endpoint.STARTED), (39 + N_TO_END, Endpoint.STOPPED)]


def test_the_first_speech_is_known() -> None:
    """At the beginning utterance_ms reaches back to the first window of speech."""
    endpointer = Endpointer(RULES)
    push_all(endpointer, [NO] * 10 + [YES, YES, NO, YES, YES])
    assert endpointer.in_speech
    assert endpointer.utterance_ms == 5 * WINDOW_MS
    assert endpointer.speech_ms == 3 * WINDOW_MS


@pytest.mark.parametrize("gap", [1, 3, 8])
def test_isolated_clicks_begin_nothing(gap: int) -> None:
    """Single loud windows do not add up, however many come."""
    assert not push_all(Endpointer(RULES), ([YES] + [NO] * gap) * 200)


def test_old_speech_is_forgotten() -> None:
    """Two windows of speech do not help a click half a second later to begin an utterance."""
    assert not push_all(Endpointer(RULES), [YES, YES] + [MAYBE] * 16 + [YES, YES])


def test_a_dropout_delays_the_beginning_only_by_itself() -> None:
    """One silent window in a beginning takes back one window of speech, not all of it."""
    found = push_all(Endpointer(replace(RULES, start_ms=160)), [YES] * 4 + [NO] + [YES] * 2)
    assert found == [(6, Endpoint.STARTED)]


def test_doubt_begins_nothing_and_goes_on_with_everything() -> None:
    """A probability just below the threshold does not begin an utterance, but keeps one going."""
    assert not push_all(Endpointer(RULES), [MAYBE] * 100)
    assert not push_all(begun(), [MAYBE] * 100)


def test_the_lowest_threshold_can_end() -> None:
    """With a threshold below the hysteresis silence still ends an utterance."""
    assert push_all(begun(replace(RULES, threshold=0.05)), [0.01] * 30)


def test_a_pause_does_not_end_an_utterance() -> None:
    """Silence that is shorter than silence_ms is a pause."""
    endpointer = begun()
    assert not push_all(endpointer, ([NO] * (N_TO_END - 1) + [YES] * 2) * 5)
    assert endpointer.pause_ms == 0


def test_clicks_do_not_keep_an_utterance_alive() -> None:
    """A lone loud window is part of the pause."""
    assert push_all(begun(), [NO] * 5 + [YES] + [NO] * 30) == [(N_TO_END - 1, Endpoint.STOPPED)]


def test_a_long_utterance_is_ended() -> None:
    """After max_utterance_s an utterance ends, says why, and speech that goes on begins another."""
    endpointer = Endpointer(replace(RULES, max_utterance_s=2.0))
    found = push_all(endpointer, [YES] * 63)
    assert found == [(N_TO_START - 1, Endpoint.STARTED), (62, Endpoint.STOPPED)]
    assert endpointer.was_too_long
    assert push_all(endpointer, [YES] * 63 + [NO] * 30)[0] == (N_TO_START - 1, Endpoint.STARTED)


def test_an_end_by_silence_is_not_too_long() -> None:
    """was_too_long tells about the last utterance only."""
    endpointer = Endpointer(replace(RULES, max_utterance_s=1.0))
    push_all(endpointer, [YES] * 32 + [NO] * 60 + [YES] * 5 + [NO] * 20)
    assert not endpointer.was_too_long
    assert not endpointer.in_speech


def test_another_beginning_may_be_asked_for() -> None:
    """start_ms of a window stands in for that of the rules; infinity begins nothing until it is lifted."""
    endpointer = Endpointer(RULES)
    assert {endpointer.push(YES, math.inf) for _ in range(400)} == {Endpoint.NONE}
    assert endpointer.push(NO) is Endpoint.NONE
    assert endpointer.push(YES) is Endpoint.STARTED
    assert endpointer.utterance_ms == MAX_ONSET_MS
    assert [Endpointer(RULES).push(YES, 32.0), Endpointer(RULES).push(YES, 33.0)] == [Endpoint.STARTED, Endpoint.NONE]


def test_an_utterance_can_be_ended() -> None:
    """stop() ends the utterance in progress, and says whether there was one."""
    endpointer = begun()
    assert endpointer.stop() is Endpoint.STOPPED
    assert endpointer.stop() is Endpoint.NONE
    assert endpointer.speech_ms == 0


def test_the_silence_follows_the_speaker() -> None:
    """Short pauses make the limit shorter and long ones longer, within the bounds."""
    endpointer = begun(replace(RULES, adaptive_silence=True))
    assert endpointer.silence_ms == RULES.silence_ms
    push_all(endpointer, ([NO] * 5 + [YES] * 10) * 40)
    assert endpointer.silence_ms == RULES.min_silence_ms
    for _ in range(3):
        endpointer.resumed_after(900)
    assert RULES.silence_ms < endpointer.silence_ms < RULES.max_silence_ms
    endpointer.resumed_after(60_000)
    assert endpointer.silence_ms == RULES.max_silence_ms


def test_the_stops_of_consonants_teach_nothing() -> None:
    """Silence of three windows is heard within words of everybody."""
    endpointer = begun(replace(RULES, adaptive_silence=True))
    push_all(endpointer, ([NO] * 3 + [YES] * 3) * 40)
    assert endpointer.silence_ms == RULES.silence_ms


def test_the_speaker_is_remembered() -> None:
    """The limit that was learned holds for the next utterance."""
    endpointer = begun(replace(RULES, adaptive_silence=True))
    push_all(endpointer, ([NO] * 5 + [YES] * 10) * 40)
    endpointer.reset()
    assert endpointer.silence_ms == RULES.min_silence_ms


def test_a_fixed_silence_stays() -> None:
    """Without adaptive_silence the limit is the setting, whatever the pauses are."""
    endpointer = begun()
    push_all(endpointer, ([NO] * 5 + [YES] * 10) * 40)
    endpointer.resumed_after(1_000)
    assert endpointer.silence_ms == RULES.silence_ms


@given(SOME_RULES, PROBABILITIES)
def test_beginnings_and_ends_take_turns(rules: EndpointRules, probabilities: list[float]) -> None:
    """Every beginning is followed by an end before the next one, and in_speech says which came last."""
    endpointer = Endpointer(rules)
    found = [endpoint for _, endpoint in push_all(endpointer, probabilities)]
    assert found == [(Endpoint.STARTED, Endpoint.STOPPED)[i % 2] for i in range(len(found))]
    assert endpointer.in_speech == (len(found) % 2 == 1)


@given(SOME_RULES, PROBABILITIES)
def test_silence_always_ends(rules: EndpointRules, probabilities: list[float]) -> None:
    """Whatever came before, an utterance is over after the silence that the endpointer names."""
    endpointer = Endpointer(rules)
    push_all(endpointer, probabilities)
    push_all(endpointer, [0.0] * math.ceil(endpointer.silence_ms / WINDOW_MS))
    assert not endpointer.in_speech


@given(SOME_RULES, PROBABILITIES)
def test_length_always_ends(rules: EndpointRules, probabilities: list[float]) -> None:
    """No utterance is longer than max_utterance_s, or than one window after a beginning that took as long."""
    endpointer = Endpointer(rules)
    n_windows = 0
    for probability in probabilities + [1.0] * 400:
        endpointer.push(probability)
        n_windows = n_windows + 1 if endpointer.in_speech else 0
        assert n_windows * WINDOW_MS <= 1000 * rules.max_utterance_s


@given(SOME_RULES, PROBABILITIES)
def test_counts_stay_in_bounds(rules: EndpointRules, probabilities: list[float]) -> None:
    """There is never more speech than utterance, and no count is negative."""
    endpointer = Endpointer(rules)
    for probability in probabilities:
        endpointer.push(probability)
        assert 0 <= endpointer.speech_ms <= endpointer.utterance_ms
        assert 0 <= endpointer.pause_ms <= endpointer.utterance_ms


@given(SOME_RULES, PROBABILITIES)
def test_no_speech_begins_nothing(rules: EndpointRules, probabilities: list[float]) -> None:
    """Windows below the threshold never begin an utterance."""
    below = [probability * rules.threshold * 0.999 for probability in probabilities]
    assert not push_all(Endpointer(rules), below)
