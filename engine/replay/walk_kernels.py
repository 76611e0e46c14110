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


class Track(NamedTuple):
    """The events, N of them by time. first_D : D + 1 bounds of the local days. end_D : their ends, microseconds.

    slot_N : contents that occur more than once, numbered; -1 for the others. closed : days that ended in the history.
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
    """What is remembered. until_A : struck until. last_AK : the last rejections, a ring; at_A its next place.

    rejected_S, by_S : when a content was rejected last, and for which policy. head_Q, tail_Q : chains of waiting events
    through next_N. known_D, known_next_N : events whose human rejection counts from the end of a day.
    """

    until_A: I64
    last_AK: I64
    at_A: I16
    rejected_S: I64
    by_S: I8
    head_Q: I32
    tail_Q: I32
    next_N: I32
    known_D: I32
    known_next_N: I32


@njit(cache=True, nogil=True)
def walk(track: Track, outcomes: Outcomes, settings: Settings, humans: Humans, state: State, code_N: I16) -> None:
    """Write the outcome code of every event."""
    queued = len(humans.queue_N) > 0
    moved = len(humans.rejects_N) > 0
    for d in range(len(track.end_D)):
        for n in range(track.first_D[d], track.first_D[d + 1]):
            time, advertiser, slot = track.time_N[n], track.advertiser_N[n], track.slot_N[n]
            if slot >= 0 and settings.copies_within >= 0 and time - state.rejected_S[slot] <= settings.copies_within:
                code_N[n] = settings.copy + 1 + state.by_S[slot]
                if settings.strike_count > 0:
                    strike(settings, state, advertiser, time)
                continue
            outcome = outcomes.normal_N[n]
            if settings.strike_count > 0 and time <= state.until_A[advertiser]:
                outcome = outcomes.struck_N[n]
            code_N[n] = outcome
            does = outcomes.does_O[outcome]
            if does == REJECTS:
                reject(settings, state, advertiser, slot, outcomes.owner_C[outcome], time)
            elif does == REVIEWS:
                if queued:
                    code_N[n] = outcomes.waits_O[outcome] + settings.max_wait + 2  # pending, until someone looks
                    append(state.head_Q, state.tail_Q, state.next_N, humans.queue_N[n], n)
                elif moved:
                    reviewed(humans, state, n, d)
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


@njit(cache=True, nogil=True, inline="always")
def strike(settings: Settings, state: State, advertiser: int, time: int) -> None:
    """Count a rejection of an advertiser."""
    at = state.at_A[advertiser]
    state.last_AK[advertiser, at] = time
    at = at + 1 if at + 1 < settings.strike_count else 0
    state.at_A[advertiser] = at
    if time - state.last_AK[advertiser, at] <= settings.strikes_within:
        state.until_A[advertiser] = time + settings.strikes_last


@njit(cache=True, nogil=True, inline="always")
def reject(settings: Settings, state: State, advertiser: int, slot: int, owner: int, time: int) -> None:
    """Remember a rejection that is no copy's; of several at one instant the lowest policy code stands."""
    if settings.strike_count > 0:
        strike(settings, state, advertiser, time)
    if slot >= 0 and settings.copies_within >= 0:
        if state.rejected_S[slot] != time or owner < state.by_S[slot]:
            state.by_S[slot] = owner
        state.rejected_S[slot] = time


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
            reject(settings, state, track.advertiser_N[n], track.slot_N[n], owner, track.end_D[d])
        n = state.next_N[n]
    state.head_Q[q] = n


@njit(cache=True, nogil=True)
def learn(track: Track, outcomes: Outcomes, settings: Settings, state: State, code_N: I16, d: int) -> None:
    """Count the human rejections that are known since day d, at its end."""
    n = state.known_D[d]
    while n != NOBODY:
        owner = outcomes.owner_C[code_N[n]]
        reject(settings, state, track.advertiser_N[n], track.slot_N[n], owner, track.end_D[d])
        n = state.known_next_N[n]
