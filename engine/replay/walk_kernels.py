"""Compiled loop of the stateful replay: events in time order, one strategy. Arrays in, arrays out.

What it does stands in README.md, section "State", sentence by sentence. `NEVER` is a time before every event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.records import F64, I8, I16, I32, I64, U8

NEVER = np.int64(-(2**62))
NOBODY = np.int32(-1)  # ends a chain of waiting events
NO_LIMIT = np.int64(-1)
NOTHING, REJECTS, REVIEWS = 0, 1, 2  # what an outcome does to state
UNTIL, PLACE, RING = 0, 1, 2
BLOCK = 256  # events whose state is read ahead
WHEN, OWED = 0, 1


class Track(NamedTuple):
    """The events, N of them by time. first_D : D + 1 bounds of the local days. end_D : their ends, microseconds.

    slot_N : contents that occur more than once, numbered; -1 for the others; empty without copies.
    closed : days that ended in the history.
    """

    time_N: I64
    advertiser_N: I32
    slot_N: I32
    first_D: I64
    end_D: I64
    closed: int


class Outcomes(NamedTuple):
    """What rules decided. struck_N, empty without strikes, goes on counting outcomes where normal_N ends.

    does_O : NOTHING, REJECTS or REVIEWS. waits_O : code of "reviewed after 0 days" of an outcome that REVIEWS; those of
    more days follow, then overflow and pending. owner_C : policy code of every code, -1 unknown.
    """

    normal_N: I16
    struck_N: I16
    does_O: I8
    waits_O: I16
    owner_C: I8


class Settings(NamedTuple):
    """Numbers of the strategy's memory; lengths in microseconds, -1 where a feature is off.

    per_day : reviews of one queue, -1 without limit. by_priority, overflow_rejects : 0 or 1. copy : code of a copy that
    is owed to nobody; those of policies 0, 1, … follow.
    """

    copies_within: int
    strike_count: int
    strikes_within: int
    strikes_last: int
    per_day: int
    max_wait: int
    by_priority: int
    overflow_rejects: int
    copy: int


class Humans(NamedTuple):
    """queue_N, priority_N : empty without capacity or order. rejects_N : 1 where a human would reject; empty: nobody's
    decision moves state. day_N : local day at whose end that may be known at the earliest.
    """

    queue_N: I32
    priority_N: F64
    rejects_N: U8
    day_N: I32


class State(NamedTuple):
    """What is remembered; what is read together lies together.

    strikes_AX : UNTIL when the advertiser is struck, PLACE of the next rejection in the ring, and the ring of the last
    ones. content_S2 : WHEN it was rejected last, and OWED to which policy. head_Q, tail_Q : chains of waiting events
    through next_N. known_D, known_next_N : events whose human rejection counts from the end of a day.
    """

    strikes_AX: I64
    content_S2: I64
    head_Q: I32
    tail_Q: I32
    next_N: I32
    known_D: I32
    known_next_N: I32


@njit(cache=True, nogil=True)
def walk(track: Track, outcomes: Outcomes, settings: Settings, humans: Humans, state: State, code_N: I16) -> None:
    """Write the outcome code of every event."""
    queued, moved = len(humans.queue_N) > 0, len(humans.rejects_N) > 0
    for d in range(len(track.end_D)):
        decide(track, outcomes, settings, humans, state, code_N, d)
        if d >= track.closed:
            break
        if queued:
            for q in range(len(state.head_Q)):
                if state.head_Q[q] != NOBODY:
                    if settings.per_day < 0 or not settings.by_priority:
                        serve_first(track, settings, humans, state, code_N, q, d)
                    else:
                        serve_best(track, settings, humans, state, code_N, q, d)
                    expire(track, outcomes, settings, state, code_N, q, d)
        if moved:
            learn(track, outcomes, settings, state, code_N, d)


@njit(cache=True, nogil=True)
def decide(
    track: Track, outcomes: Outcomes, settings: Settings, humans: Humans, state: State, code_N: I16, d: int
) -> None:
    """Decide the events of day d.

    Arrays get local names: reached through their group, each event would count references to them.
    """
    time_N, advertiser_N, slot_N = track.time_N, track.advertiser_N, track.slot_N
    normal_N, struck_N, does_O, waits_O, owner_C = outcomes
    strikes_AX, content_S2, head_Q, tail_Q, next_N = (
        state.strikes_AX, state.content_S2, state.head_Q, state.tail_Q, state.next_N,
    )  # fmt: skip
    queue_N = humans.queue_N
    copies, strikes, queued, moved = (
        len(slot_N) > 0,
        settings.strike_count > 0,
        len(queue_N) > 0,
        len(humans.rejects_N) > 0,
    )
    touched_B = np.empty(BLOCK, np.int64)
    first, last = track.first_D[d], track.first_D[d + 1]
    for n in range(first, last):
        if (n - first) % BLOCK == 0:
            if copies:
                touch(slot_N[n : min(n + BLOCK, last)], content_S2, touched_B)
            if strikes:
                touch(advertiser_N[n : min(n + BLOCK, last)], strikes_AX, touched_B)
        time, advertiser = time_N[n], advertiser_N[n]
        slot = int(slot_N[n]) if copies else -1
        if copies and (slot >= 0) & (time - content_S2[max(slot, 0), WHEN] <= settings.copies_within):
            code_N[n] = settings.copy + 1 + content_S2[slot, OWED]
            if strikes:
                strike(settings, strikes_AX, advertiser, time)
            continue
        outcome = normal_N[n]
        if strikes and time <= strikes_AX[advertiser, UNTIL]:
            outcome = struck_N[n]
        code_N[n] = outcome
        does = does_O[outcome]
        if does == REJECTS:
            reject(settings, strikes_AX, content_S2, advertiser, slot, owner_C[outcome], time)
        elif does == REVIEWS:
            if queued:
                code_N[n] = waits_O[outcome] + settings.max_wait + 2  # pending, until someone looks
                append(head_Q, tail_Q, next_N, queue_N[n], n)
            elif moved:
                reviewed(humans, state, n, d)


@njit(cache=True, nogil=True)
def touch(code_B: I32, state_KX: I64, touched_B: I64) -> None:
    """Read what a block of events is about to look up: these reads wait for memory together, not one by one."""
    for i in range(len(code_B)):
        touched_B[i] = state_KX[max(code_B[i], 0), 0]


@njit(cache=True, nogil=True)
def strike(settings: Settings, strikes_AX: I64, advertiser: int, time: int) -> None:
    """Count a rejection of an advertiser."""
    at = strikes_AX[advertiser, PLACE]
    strikes_AX[advertiser, RING + at] = time
    at = at + 1 if at + 1 < settings.strike_count else 0
    strikes_AX[advertiser, PLACE] = at
    if time - strikes_AX[advertiser, RING + at] <= settings.strikes_within:
        strikes_AX[advertiser, UNTIL] = time + settings.strikes_last


@njit(cache=True, nogil=True)
def reject(
    settings: Settings, strikes_AX: I64, content_S2: I64, advertiser: int, slot: int, owner: int, time: int
) -> None:
    """Remember a rejection that is no copy's; of several at one instant the lowest policy code stands."""
    if settings.strike_count > 0:
        strike(settings, strikes_AX, advertiser, time)
    if slot >= 0:
        if content_S2[slot, WHEN] != time or owner < content_S2[slot, OWED]:
            content_S2[slot, OWED] = owner
        content_S2[slot, WHEN] = time


@njit(cache=True, nogil=True, inline="always")
def append(head_Q: I32, tail_Q: I32, next_N: I32, q: int, n: int) -> None:
    """Put an event at the end of a chain."""
    next_N[n] = NOBODY
    if head_Q[q] == NOBODY:
        head_Q[q] = n
    else:
        next_N[tail_Q[q]] = n
    tail_Q[q] = n


@njit(cache=True, nogil=True, inline="always")
def reviewed(humans: Humans, state: State, n: int, d: int) -> None:
    """Note that a human decided on day d; a rejection counts from the end of the day on which it is known."""
    if len(humans.rejects_N) > 0 and humans.rejects_N[n] == 1:
        day = max(humans.day_N[n], d)
        if day < len(state.known_D):
            state.known_next_N[n] = state.known_D[day]
            state.known_D[day] = n


@njit(cache=True, nogil=True, inline="always")
def slot_of(track: Track, n: int) -> int:
    """Return the slot of an event's content, -1 where copies do not matter."""
    return int(track.slot_N[n]) if len(track.slot_N) > 0 else -1


@njit(cache=True, nogil=True, inline="always")
def day_of(track: Track, n: int) -> int:
    """Return the local day of an event."""
    return int(np.searchsorted(track.first_D, n, "right")) - 1


@njit(cache=True, nogil=True)
def serve_first(track: Track, settings: Settings, humans: Humans, state: State, code_N: I16, q: int, d: int) -> None:
    """Review the events of a queue that have waited longest, at the end of day d."""
    left, n = settings.per_day, state.head_Q[q]
    while n != NOBODY and left != 0:
        code_N[n] += d - day_of(track, n) - settings.max_wait - 2
        reviewed(humans, state, n, d)
        left -= 1
        n = state.next_N[n]
    state.head_Q[q] = n


@njit(cache=True, nogil=True)
def serve_best(track: Track, settings: Settings, humans: Humans, state: State, code_N: I16, q: int, d: int) -> None:
    """Review the events of a queue with the highest priority, of equal ones the earliest, at the end of day d."""
    size, n = 0, state.head_Q[q]
    while n != NOBODY:
        size, n = size + 1, state.next_N[n]
    waiting = np.empty(size, np.int32)
    priority = np.empty(size, np.float64)
    n = state.head_Q[q]
    for i in range(size):
        waiting[i] = n
        priority[i] = np.inf if np.isnan(humans.priority_N[n]) else -humans.priority_N[n]
        n = state.next_N[n]
    taken = np.zeros(size, np.bool_)
    for i in np.argsort(priority, kind="mergesort")[: settings.per_day]:
        taken[i] = True
        code_N[waiting[i]] += d - day_of(track, waiting[i]) - settings.max_wait - 2
        reviewed(humans, state, waiting[i], d)
    state.head_Q[q] = NOBODY
    for i in range(size):
        if not taken[i]:
            append(state.head_Q, state.tail_Q, state.next_N, q, waiting[i])


@njit(cache=True, nogil=True)
def expire(track: Track, outcomes: Outcomes, settings: Settings, state: State, code_N: I16, q: int, d: int) -> None:
    """Give up, at the end of day d, on the events of a queue that may wait no longer: they stand first in it."""
    n = state.head_Q[q]
    while n != NOBODY and day_of(track, n) + settings.max_wait <= d:
        code_N[n] -= 1  # overflow stands before pending
        if settings.overflow_rejects:
            owner = outcomes.owner_C[code_N[n]]
            reject(
                settings,
                state.strikes_AX,
                state.content_S2,
                track.advertiser_N[n],
                slot_of(track, n),
                owner,
                track.end_D[d],
            )
        n = state.next_N[n]
    state.head_Q[q] = n


@njit(cache=True, nogil=True)
def learn(track: Track, outcomes: Outcomes, settings: Settings, state: State, code_N: I16, d: int) -> None:
    """Count the human rejections that are known since day d, at its end."""
    n = state.known_D[d]
    while n != NOBODY:
        owner = outcomes.owner_C[code_N[n]]
        reject(
            settings,
            state.strikes_AX,
            state.content_S2,
            track.advertiser_N[n],
            slot_of(track, n),
            owner,
            track.end_D[d],
        )
        n = state.known_next_N[n]


@njit(cache=True, nogil=True)
def add_up(outcome_N: I16, frame_N: U8, cell_N: I64, weight_NW: I64, sum_OFCW: I64) -> None:
    """Add every event's weights to its outcome, frame and cell."""
    for n in range(len(outcome_N)):
        for w in range(weight_NW.shape[1]):
            sum_OFCW[outcome_N[n], frame_N[n], cell_N[n], w] += weight_NW[n, w]


@njit(cache=True, nogil=True)
def add_up_pairs(baseline_N: I16, candidate_N: I16, cell_N: I64, weight_NW: I64, sum_OQCW: I64) -> None:
    """Add every event's weights to its pair of outcomes and cell."""
    for n in range(len(baseline_N)):
        for w in range(weight_NW.shape[1]):
            sum_OQCW[baseline_N[n], candidate_N[n], cell_N[n], w] += weight_NW[n, w]
