"""Events per second of the stateful replay: each feature alone, and all together.

The world is seeded: advertisers by Zipf's law with exponent 1.1, a twentieth as many as events, in no order; 4 of 10
events repeat the content of a uniformly drawn earlier one (Simon 1955), so that some contents are very frequent;
a content's score decides. Runs alone, or as a part of the replay bench.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from memory import peak_of_this_process
from numba import njit
from record import Bar, Bench, at_least

from engine.expression import ALWAYS
from engine.records import F64, I16, I32, I64, Decision
from engine.replay.history import History, advertiser_age, make_history, velocity
from engine.replay.walk import Decided, Reviewers, walk
from engine.state import DAY, Capacity, Copies, Memory, Strikes
from engine.strategy import Rule, Strategy
from engine.strategy.codes import COPY, OVERFLOW, STRUCK, Codes, list_codes

BARS = {2_000_000: ("replay.events_per_core.2m", 20e6), 20_000_000: ("replay.events_per_core.20m", 10e6)}
SIZES = tuple(BARS)
_DAYS = 60
_QUEUES = 8
_RULES = tuple(
    Rule(ALWAYS, d, policy="scam") for d in (Decision.REJECT, Decision.REVIEW, Decision.LIMIT, Decision.APPROVE)
)
_NORMAL, _STRUCK = (0.06, 0.12, 0.17), (0.10, 0.16, 0.21)  # bounds of a content's score between these rules


@dataclass(frozen=True)
class World:
    """What is replayed: once a run, and for one strategy. contents_N : codes, as the read stage gives them."""

    time_N: I64
    advertiser_N: I32
    content_N: I32
    history: History
    decided: Decided
    reviewers: Reviewers


@dataclass(frozen=True)
class Figures:
    """Of one size. million_a_second : by feature; seconds_once : what is made once a run. shares : of events."""

    events: int
    million_a_second: dict[str, float]
    seconds_once: dict[str, float]
    shares: dict[str, float]
    peak_megabytes: float | None


def make_world(size: int, seed: int = 1) -> World:
    """Make a world of `size` events over sixty days."""
    rng = np.random.default_rng(seed)
    time_N = np.sort(rng.integers(0, _DAYS * DAY, size))
    advertisers = max(1, size // 20)
    total_A = np.cumsum(np.arange(1, advertisers + 1) ** -1.1)
    drawn_N = np.searchsorted(total_A, rng.random(size) * total_A[-1])
    advertiser_N = rng.permutation(advertisers).astype(np.int32)[drawn_N]
    content_N = np.empty(size, np.int32)
    repeat(rng.random(size), rng.random(size), content_N)
    score_N = rng.random(size)[content_N]
    history = make_history(time_N, advertiser_N, content_N, np.arange(1, _DAYS + 1) * DAY, _DAYS * DAY)
    struck_N = np.digitize(score_N, _STRUCK) + len(_RULES)
    decided = Decided(np.digitize(score_N, _NORMAL).astype(np.int16), struck_N.astype(np.int16))
    queue_N = rng.integers(0, _QUEUES, size).astype(np.int32)
    rejects_N = (rng.random(size) < 0.5).astype(np.uint8)
    reviewers = Reviewers(queue_N, score_N, rejects_N, np.zeros(size, np.int64))
    return World(time_N, advertiser_N, content_N, history, decided, reviewers)


@njit()
def repeat(chance_N: F64, place_N: F64, content_N: I32) -> None:
    """Give every event the content of an earlier one with probability 0.4, else a new one."""
    new = 0
    for n in range(len(content_N)):
        if n and chance_N[n] < 0.4:
            content_N[n] = content_N[int(place_N[n] * n)]
        else:
            content_N[n] = new
            new += 1


def features(size: int) -> dict[str, Memory]:
    """Return strategies that remember one thing each, and one that remembers all."""
    capacity = Capacity(int(0.045 * size / _DAYS / _QUEUES), order="score", column="v1.scam", max_wait=2)
    strikes, copies = Strikes(3, 7 * DAY, 14 * DAY), Copies(30 * DAY)
    first_in = Memory(replace(capacity, order="first", column=None))
    return {
        "nothing": Memory(),
        "strikes": Memory(strikes=strikes),
        "copies": Memory(copies=copies),
        "capacity": Memory(capacity),
        "capacity, first in": first_in,
        "all": Memory(capacity, strikes, copies, "drawn"),
    }


def replay(world: World, memory: Memory) -> tuple[I16, Codes]:
    """Replay one strategy, up to the code of every event's outcome."""
    struck = _RULES if memory.strikes else ()
    strategy = Strategy("all", _RULES[:-1], _RULES[-1], memory=memory, struck=struck or None)
    codes = list_codes(strategy, _RULES, struck, ("scam",))
    return walk(world.history, memory, codes, world.decided, world.reviewers), codes


def measure_size(size: int, rounds: int) -> Figures:
    """Measure one size: the best of some rounds, all features in each, so that noise meets all of them.

    Processor seconds of this thread: what a core does, whoever else shares the machine.
    """
    for name, memory in features(1000).items():  # compile
        replay(make_world(1000), memory)
        del name
    world = make_world(size)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, memory in features(size).items():
            start = time.thread_time()
            code_N, codes = replay(world, memory)
            best[name] = min(best.get(name, np.inf), time.thread_time() - start)
    return Figures(
        size,
        {name: size / seconds / 1e6 for name, seconds in best.items()},
        _once(world),
        _shares(world, code_N, codes),
        peak_of_this_process(),
    )


def measure_events(sizes: Sequence[int], rounds: int = 5) -> list[Figures]:
    """Measure all sizes; small ones are repeated more often."""
    return [measure_size(size, rounds * max(1, min(10, 20_000_000 // size))) for size in sizes]


def events_bars(figures: Sequence[Figures]) -> list[Bar]:
    """Return the bars of all features together; one that was not measured does not hold."""
    found = {each.events: each.million_a_second["all"] * 1e6 for each in figures}
    return [at_least(name, found.get(size), bar, " events/s") for size, (name, bar) in BARS.items()]


def events_table(figures: Sequence[Figures]) -> list[str]:
    """Return lines that a person reads."""
    lines = []
    for each in figures:
        lines.append(
            f"{each.events:,} events, one core, one strategy; peak {each.peak_megabytes or float('nan'):,.0f} MB"
        )
        lines += [f"  {name:<20} {rate:7.1f} M events/s" for name, rate in each.million_a_second.items()]
        lines += [f"  once a run: {name:<16} {seconds:7.2f} s" for name, seconds in each.seconds_once.items()]
        lines.append("  " + ", ".join(f"{name} {share:.1%}" for name, share in each.shares.items()))
    return lines


def measure(arguments: Sequence[str]) -> Bench:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benches/events.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5, help="of the largest size")
    options = parser.parse_args(arguments)
    figures = measure_events(options.sizes, options.rounds)
    raw = {str(each.events): asdict(each) for each in figures}
    return Bench("events", vars(options), raw, events_bars(figures), events_table(figures))


def _once(world: World) -> dict[str, float]:
    made: dict[str, Callable[[], object]] = {
        "repeated contents": lambda: make_history(
            world.time_N, world.advertiser_N, world.content_N, world.history.midnight_D, world.history.until
        ),
        "velocity": lambda: velocity(world.history, 24),
        "advertiser's age": lambda: advertiser_age(world.history),
    }
    seconds: dict[str, float] = {}
    for name, make in made.items():
        start = time.thread_time()
        make()
        seconds[name] = time.thread_time() - start
    return seconds


def _shares(world: World, code_N: I16, codes: Codes) -> dict[str, float]:
    def share(chosen: Callable[[Rule], bool]) -> float:
        return float(np.array([chosen(rule) for rule in codes.meaning])[code_N].mean())

    return {
        "copies": 1 - len(np.unique(world.content_N)) / len(code_N),
        "to review": share(lambda rule: rule.decision is Decision.REVIEW),
        "overflow": share(lambda rule: rule.state == OVERFLOW),
        "rejected": share(lambda rule: rule.decision is Decision.REJECT),
        "of these on sight": share(lambda rule: rule.state == COPY),
        "struck": share(lambda rule: rule.state == STRUCK),
    }


if __name__ == "__main__":
    import sys

    measure(sys.argv[1:]).show()
