"""The stateful replay of one strategy: what its rules decided, event by event, and what its memory made of that.

The meaning of every feature stands in README.md, section "State", that of every code in engine.strategy.codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import F64, I8, I16, I32, I64, U8, Decision
from engine.replay import walk_kernels as kernels
from engine.replay.history import History
from engine.state import Memory
from engine.strategy.codes import Codes


@dataclass(frozen=True)
class Decided:
    """What the rules decide of N events, whatever state they meet.

    normal_N : outcome under the strategy's rules. struck_N : under its struck rules, counted on from the normal ones;
    empty without strikes.
    """

    normal_N: I16
    struck_N: I16


@dataclass(frozen=True)
class Reviewers:
    """What reviewers see of N events.

    queue_N : codes from 0. priority_N : the higher the sooner, NaN last; empty where the first comes first.
    rejects_N : 1 where a human would reject; empty where that moves no state.
    known_N : microseconds from which on that may be known.
    """

    queue_N: I32
    priority_N: F64
    rejects_N: U8
    known_N: I64


NOBODY = Reviewers(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.uint8), np.zeros(0, np.int64))


def walk(history: History, memory: Memory, codes: Codes, decided: Decided, reviewers: Reviewers = NOBODY) -> I16:
    """Return the code of every event's outcome, shape (N,): see `codes`.

    Raises
    ------
    ValueError : events that are out of order, or copies to remember and no contents.
    """
    if memory.copies and len(history.slot_N) != len(history.time_N):
        raise ValueError("copies need the content of every event")
    if np.any(history.time_N[1:] < history.time_N[:-1]):
        raise ValueError("events must come in order of time")
    code_N = np.zeros(len(history.time_N), np.int16)
    track = _track(history, memory)
    humans = _humans(history, memory, reviewers)
    state = _state(history, memory, humans)
    outcomes = kernels.Outcomes(decided.normal_N, decided.struck_N, *_does(codes))
    kernels.walk(track, outcomes, _settings(memory, codes), humans, state, code_N)
    return code_N


def decided_at(history: History, codes: Codes, code_N: I16) -> I64:
    """Return when each outcome was final, microseconds; what still waits has the largest int64."""
    day_N = np.searchsorted(history.midnight_D, history.time_N, "right")
    waited_N = codes.waited_C[code_N]
    end_N = np.append(history.midnight_D, kernels.NEVER)[np.minimum(day_N + waited_N, len(history.midnight_D))]
    at_N = np.where(codes.queued_C[code_N], end_N, history.time_N)
    return np.where(codes.pending_C[code_N], np.iinfo(np.int64).max, at_N)


def changed_later(
    history: History, memory: Memory, codes: Codes, decided: Decided, reviewers: Reviewers, moments: I64
) -> list[I64]:
    """Return, per moment, the events whose outcome was final by then and is another one in the whole history.

    A replay that looks ahead has some. Of rules that read the future themselves nothing can be seen here.
    """
    whole_N = walk(history, memory, codes, decided, reviewers)
    out = []
    for moment in moments:
        known = history.before(int(moment))
        rows = len(known.time_N)
        cut = Decided(decided.normal_N[:rows], decided.struck_N[:rows])
        seen = Reviewers(*(values[:rows] for values in vars(reviewers).values()))
        code_N = walk(known, memory, codes, cut, seen)
        final_N = decided_at(known, codes, code_N) <= moment
        out.append(np.flatnonzero(final_N & (code_N != whole_N[:rows])))
    return out


def _track(history: History, memory: Memory) -> kernels.Track:
    slot_N = history.slot_N if memory.copies else np.zeros(0, np.int32)
    first_D = np.concatenate([[0], np.searchsorted(history.time_N, history.midnight_D, "left")]).astype(np.int64)
    closed = int(np.searchsorted(history.midnight_D, history.until, "right"))
    return kernels.Track(history.time_N, history.advertiser_N, slot_N, first_D, history.midnight_D, closed)


def _does(codes: Codes) -> tuple[I8, I16, I8]:
    kinds = {Decision.REJECT: kernels.REJECTS, Decision.REVIEW: kernels.REVIEWS}
    does_O = np.array([kinds.get(rule.decision, kernels.NOTHING) for rule in codes.plain], np.int8)
    return does_O, codes.waits_O, codes.owner_C


def _settings(memory: Memory, codes: Codes) -> kernels.Settings:
    strikes, capacity, copies = memory.strikes, memory.capacity, memory.copies
    per_day = -1 if capacity is None or capacity.per_day is None else capacity.per_day // capacity.work
    return kernels.Settings(
        copies_within=copies.within if copies else -1,
        strike_count=strikes.count if strikes else 0,
        strikes_within=strikes.within if strikes else -1,
        strikes_last=strikes.lasts if strikes else -1,
        per_day=per_day,
        max_wait=capacity.max_wait if capacity else 0,
        by_priority=int(capacity is not None and capacity.order != "first"),
        overflow_rejects=int(capacity is not None and capacity.overflow is Decision.REJECT),
        copy=codes.copy,
    )


def _humans(history: History, memory: Memory, reviewers: Reviewers) -> kernels.Humans:
    moves = memory.outcome != "none" and (memory.strikes is not None or memory.copies is not None)
    rejects_N = reviewers.rejects_N if moves else NOBODY.rejects_N
    day_N = np.searchsorted(history.midnight_D, reviewers.known_N, "left") if moves else np.zeros(0)
    queue_N = reviewers.queue_N if memory.queues else NOBODY.queue_N
    return kernels.Humans(queue_N, reviewers.priority_N, rejects_N, day_N.astype(np.int32))


def _state(history: History, memory: Memory, humans: kernels.Humans) -> kernels.State:
    events, days = len(history.time_N), len(history.midnight_D)
    strikes_AX = np.zeros((0, 0), np.int64)
    if memory.strikes:
        strikes_AX = np.full((history.advertisers, kernels.RING + memory.strikes.count), kernels.NEVER)
        strikes_AX[:, kernels.PLACE] = 0
    queues = int(humans.queue_N.max(initial=-1)) + 1
    waiting, known = (events if len(humans.queue_N) else 0), (events if len(humans.rejects_N) else 0)
    return kernels.State(
        strikes_AX=strikes_AX,
        content_S2=np.full((max(history.slots, 1), 2), kernels.NEVER),  # a row to read where none matters
        head_Q=np.full(queues, kernels.NOBODY),
        tail_Q=np.full(queues, kernels.NOBODY),
        next_N=np.zeros(waiting, np.int32),
        known_D=np.full(days, kernels.NOBODY),
        known_next_N=np.zeros(known, np.int32),
    )
