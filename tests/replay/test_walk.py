"""The stateful replay against its slow twin, and what must hold whatever the events."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from generators import examples
from hypothesis import given
from hypothesis import strategies as st
from state_twin import Twin, TwinEvent, TwinMemory

from engine.expression import ALWAYS
from engine.records import Decision
from engine.replay import walk_kernels
from engine.replay.history import History, advertiser_age, make_history, slots, velocity
from engine.replay.parts import find_parts
from engine.replay.walk import Decided, Reviewers, changed_later, decided_at, walk
from engine.state import Capacity, Copies, Memory, Strikes
from engine.strategy import Rule, Strategy
from engine.strategy.codes import COPY, OVERFLOW, PENDING, Codes, list_codes

POLICIES = ("scam", "adult")
DAY = 24
DECISIONS = (Decision.APPROVE, Decision.LIMIT, Decision.REVIEW, Decision.REJECT)
RULES = tuple(Rule(ALWAYS, d, policy=p) for p in (None, *POLICIES) for d in DECISIONS)
NEVER = np.iinfo(np.int64).max


@dataclass
class World:
    """Everything a walk reads, as arrays and as the twin's events."""

    history: History
    memory: Memory
    codes: Codes
    decided: Decided
    reviewers: Reviewers
    twin: Twin


@st.composite
def worlds(draw: st.DrawFn) -> World:
    size = draw(st.integers(0, 60))
    days = draw(st.integers(1, 6))
    times = sorted(draw(st.lists(st.integers(0, days * DAY - 1), min_size=size, max_size=size)))
    lengths = st.sampled_from([0, 1, 7, DAY, 2 * DAY, 100 * DAY])
    strikes = draw(st.none() | st.builds(Strikes, st.integers(1, 4), lengths, lengths))
    copies = draw(st.none() | st.builds(Copies, lengths))
    capacity = draw(st.none() | _capacities())
    outcome = draw(st.sampled_from(["none", "logged", "drawn"]))
    memory = Memory(capacity, strikes, copies, outcome)
    few = st.integers(0, draw(st.sampled_from([0, 2, 20])))

    def each(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=size, max_size=size))

    rule = st.integers(0, len(RULES) - 1)
    normal, struck = each(rule), each(rule)
    advertiser, content, queue = each(few), each(st.integers(-1, 8)), each(st.integers(0, 2))
    priority = each(st.none() | st.sampled_from([0.0, 0.5, 0.5, 1.0]))
    rejects, known = each(st.booleans()), each(st.integers(0, (days + 1) * DAY))
    until = draw(st.sampled_from([days * DAY, days * DAY - 1, (days - 1) * DAY + 1]))
    times = [min(time, until - 1) for time in times]
    return _world(memory, days, until, times, normal, struck, advertiser, content, queue, priority, rejects, known)


def _capacities() -> st.SearchStrategy[Capacity]:
    return st.builds(
        Capacity,
        per_day=st.none() | st.integers(0, 7),
        work=st.integers(1, 3),
        order=st.sampled_from(["first", "score", "exposure"]),
        max_wait=st.integers(0, 3),
        overflow=st.sampled_from([Decision.APPROVE, Decision.REJECT, Decision.PENDING]),
    )


def _world(memory, days, until, times, normal, struck, advertiser, content, queue, priority, rejects, known) -> World:
    strategy = Strategy("s", RULES[:-1], RULES[-1], memory=memory, struck=RULES if memory.strikes else None)
    codes = list_codes(strategy, RULES, RULES if memory.strikes else (), POLICIES)
    ends = [DAY * (day + 1) for day in range(days)]
    history = make_history(
        np.array(times, np.int64),
        np.array(advertiser, np.int32),
        np.array(content, np.int32),
        np.array(ends, np.int64),
        until,
    )
    decided = Decided(np.array(normal, np.int16), np.array(struck, np.int16) + np.int16(len(RULES)))
    best = memory.capacity is not None and memory.capacity.order != "first"
    numbers = np.array([np.nan if p is None else p for p in priority]) if best else np.zeros(0)
    reviewers = Reviewers(np.array(queue, np.int32), numbers, np.array(rejects, np.uint8), np.array(known, np.int64))
    return World(history, memory, codes, decided, reviewers, _twin(memory, ends, until, times, normal, struck,
                 advertiser, content, queue, priority, rejects, known))  # fmt: skip


def _twin(memory, ends, until, times, normal, struck, advertiser, content, queue, priority, rejects, known) -> Twin:
    def said(rule: int) -> tuple[str, int | None]:
        policy = RULES[rule].policy
        return RULES[rule].decision.name, None if policy is None else POLICIES.index(policy)

    capacity, strikes = memory.capacity, memory.strikes
    plain = TwinMemory(
        copies_within=memory.copies.within if memory.copies else None,
        strikes=(strikes.count, strikes.within, strikes.lasts) if strikes else None,
        capacity=memory.queues,
        per_day=None if capacity is None or capacity.per_day is None else capacity.per_day // capacity.work,
        best_first=capacity is not None and capacity.order != "first",
        max_wait=capacity.max_wait if capacity else 0,
        overflow=capacity.overflow.name if capacity else "APPROVE",
        humans_move=memory.outcome != "none",
    )
    events = [
        TwinEvent(
            times[n], times[n] // DAY, advertiser[n], None if content[n] < 0 else content[n], said(normal[n]),
            said(struck[n]), queue[n], priority[n], rejects[n], known[n],
        )
        for n in range(len(times))
    ]  # fmt: skip
    return Twin(events, ends, until, plain)


def meanings(world: World, code_N: np.ndarray) -> list[tuple[str, bool, int | None, int]]:
    """Return what codes mean in the words of the twin."""
    out = []
    for code in code_N:
        rule = world.codes.meaning[code]
        struck = len(RULES) <= code < 2 * len(RULES) and bool(world.memory.strikes)
        if rule.queued:
            base = world.codes.waits_O
            struck = bool(np.searchsorted(base[base >= 0], code, "right") > (base[: len(RULES)] >= 0).sum())
        route = {COPY: "COPY", OVERFLOW: "OVERFLOW", PENDING: "PENDING"}.get(rule.state, "")
        route = route or ("REVIEWED" if rule.queued else rule.decision.name)
        policy = None if rule.policy is None else POLICIES.index(rule.policy)
        out.append((route, struck, policy, rule.waited))
    return out


@given(worlds())
@examples(600)
def test_the_walk_is_that_of_the_slow_twin(world: World) -> None:
    code_N = walk(world.history, world.memory, world.codes, world.decided, world.reviewers)
    assert meanings(world, code_N) == world.twin.run()


@given(worlds())
@examples(60)
def test_compiled_and_plain_loops_agree(world: World) -> None:
    compiled = walk(world.history, world.memory, world.codes, world.decided, world.reviewers)
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "walk",
            "decide",
            "touch",
            "strike",
            "reject",
            "append",
            "reviewed",
            "day_of",
            "serve_first",
            "serve_best",
            "expire",
            "learn",
            "slot_of",
        ):
            patch.setattr(walk_kernels, name, getattr(walk_kernels, name).py_func)
        plain = walk(world.history, world.memory, world.codes, world.decided, world.reviewers)
    assert compiled.tolist() == plain.tolist()


@given(worlds(), st.lists(st.integers(0, 7 * DAY), min_size=1, max_size=4))
@examples(300)
def test_no_final_outcome_changes_when_more_history_is_known(world: World, moments: list[int]) -> None:
    found = changed_later(
        world.history, world.memory, world.codes, world.decided, world.reviewers, np.array(sorted(moments))
    )
    assert all(len(events) == 0 for events in found)


def test_a_walk_that_looked_ahead_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: let the walk decide by how many events there are."""
    from engine.replay import walk as module

    count = 12
    world = _world(Memory(copies=Copies(0)), 1, DAY, list(range(count)), *[[0] * count] * 2, [0] * count,
                   list(range(count)), [0] * count, [None] * count, [False] * count, [0] * count)  # fmt: skip
    honest = module.walk

    def peeking(history, *rest):
        return honest(history, *rest) + np.int16(len(history.time_N) % 2)

    monkeypatch.setattr(module, "walk", peeking)
    (found,) = changed_later(world.history, world.memory, world.codes, world.decided, world.reviewers, np.array([6]))
    assert len(found) == 7


@given(worlds())
@examples(150)
def test_without_state_or_limit_the_rules_decide(world: World) -> None:
    endless = Capacity(per_day=None, max_wait=2)
    strategy = Strategy("s", RULES[:-1], RULES[-1], memory=Memory(capacity=endless))
    codes = list_codes(strategy, RULES, (), POLICIES)
    code_N = walk(world.history, strategy.memory, codes, world.decided, world.reviewers)
    assert [codes.meaning[code] for code in code_N] == [RULES[normal] for normal in world.decided.normal_N]


@given(worlds())
@examples(100)
def test_codes_do_not_depend_on_data_and_outcomes_are_final_when_they_say(world: World) -> None:
    code_N = walk(world.history, world.memory, world.codes, world.decided, world.reviewers)
    at_N = decided_at(world.history, world.codes, code_N)
    for n, code in enumerate(code_N):
        rule, time = world.codes.meaning[code], int(world.history.time_N[n])
        if rule.final is Decision.PENDING and rule.state == PENDING:
            assert at_N[n] == NEVER
        elif rule.queued:
            assert at_N[n] == (time // DAY + rule.waited + 1) * DAY
        else:
            assert at_N[n] == time


def test_no_capacity_at_all_lets_everything_overflow() -> None:
    memory = Memory(Capacity(per_day=0, max_wait=1, overflow=Decision.REJECT))
    review = next(i for i, rule in enumerate(RULES) if rule.decision is Decision.REVIEW)
    world = _world(memory, 4, 4 * DAY, [1, 30, 80], [review] * 3, [0] * 3, [0] * 3, [-1] * 3, [0] * 3, [None] * 3,
                   [False] * 3, [0] * 3)  # fmt: skip
    code_N = walk(world.history, world.memory, world.codes, world.decided, world.reviewers)
    states = [world.codes.meaning[code].state for code in code_N]
    assert states == [OVERFLOW, OVERFLOW, PENDING]


def test_events_out_of_order_are_refused() -> None:
    world = _world(Memory(copies=Copies(0)), 1, DAY, [5, 3], *[[0, 0]] * 2, [0, 0], [0, 0], [0, 0], [None] * 2,
                   [False] * 2, [0, 0])  # fmt: skip
    with pytest.raises(ValueError, match="order"):
        walk(world.history, world.memory, world.codes, world.decided, world.reviewers)


@given(worlds(), st.integers(1, 50))
@examples(150)
def test_velocity_age_and_slots_equal_plain_loops(world: World, hours: int) -> None:
    times = (world.history.time_N * 3_600_000_000).tolist()
    history = replace(world.history, time_N=np.array(times, np.int64))
    who = history.advertiser_N.tolist()
    content = [-1 if event.content is None else event.content for event in world.twin.events]
    back = hours * 3_600_000_000
    before = [sum(who[m] == who[n] and times[m] > times[n] - back for m in range(n)) for n in range(len(times))]
    first = {a: times[who.index(a)] for a in who}
    assert velocity(history, hours).tolist() == before
    assert advertiser_age(history).tolist() == [
        (t - first[a]) / 86_400_000_000 for t, a in zip(times, who, strict=True)
    ]
    slot_N, count = slots(np.array(content, np.int32))
    often = [c for c in dict.fromkeys(content) if c >= 0 and content.count(c) > 1]
    assert count == len(often)
    assert slot_N.tolist() == [often.index(c) if c in often else -1 for c in content]


@examples(150)
@given(world=worlds(), most=st.integers(1, 20))
def test_what_nothing_joins_is_replayed_apart(world, most):
    asked = (world.memory, world.codes)
    part_N = find_parts(world.history, [world.memory], [world.reviewers.queue_N], most)
    whole_N = walk(world.history, *asked, world.decided, world.reviewers)
    assert len(part_N) == len(whole_N)
    for part in range(int(part_N.max(initial=-1)) + 1):
        rows = np.flatnonzero(part_N == part)
        assert len(rows)
        decided = Decided(*(values[rows] if len(values) else values for values in vars(world.decided).values()))
        seen = Reviewers(*(values[rows] if len(values) else values for values in vars(world.reviewers).values()))
        np.testing.assert_array_equal(walk(world.history.at(rows), *asked, decided, seen), whole_N[rows])


def test_parts_hold_what_is_joined_and_no_more_than_asked_otherwise():
    #         advertisers 0 and 1 share content 0, 2 and 3 share nothing, 4 has content 1 alone
    advertiser_N = np.array([0, 1, 2, 2, 3, 4, 4], np.int32)
    slot_N = np.array([0, 0, -1, -1, -1, 1, 1], np.int32)
    history = History(np.arange(7), advertiser_N, slot_N, np.array([24]), 24, advertisers=5, slots=2)
    strikes, copies = Memory(strikes=Strikes(1, DAY, DAY)), Memory(copies=Copies(DAY))
    queue_N = np.zeros(7, np.int32)

    def sets(*memories: Memory) -> list[list[int]]:
        part_N = find_parts(history, memories, [queue_N] * len(memories), most=1)
        return sorted(np.flatnonzero(part_N == part).tolist() for part in range(part_N.max() + 1))

    assert sets(strikes) == [[0], [1], [2, 3], [4], [5, 6]]
    assert sets(copies) == [[0, 1], [2], [3], [4], [5, 6]]
    assert sets(strikes, copies) == [[0, 1], [2, 3], [4], [5, 6]]
    assert sets(Memory(capacity=Capacity(per_day=1))) == [[0, 1, 2, 3, 4, 5, 6]]
    assert sets(Memory(capacity=Capacity(per_day=None))) == [[n] for n in range(7)]
