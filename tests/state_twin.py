"""Slow twin of the stateful replay: plain Python, event by event, the page "State" sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TwinEvent:
    """One creative: what the rules say of it, and what is known beside."""

    time: int
    day: int
    advertiser: int
    content: int | None
    normal: tuple[str, int | None]  # decision, policy
    struck: tuple[str, int | None] | None = None
    queue: int = 0
    priority: float | None = None
    rejects: bool = False
    known: int = 0


@dataclass
class TwinMemory:
    copies_within: int | None = None
    strikes: tuple[int, int, int] | None = None  # count, within, lasts
    capacity: bool = False
    per_day: int | None = None
    best_first: bool = False
    max_wait: int = 0
    overflow: str = "APPROVE"
    humans_move: bool = False


@dataclass
class Twin:
    """Walks the events; `out` holds (route, under struck rules, policy, days waited) of each."""

    events: list[TwinEvent]
    ends: list[int]  # end of each local day
    until: int
    memory: TwinMemory
    out: list[tuple[str, bool, int | None, int]] = field(default_factory=list)

    def run(self) -> list[tuple[str, bool, int | None, int]]:
        self.rejections: dict[int, list[int]] = {}
        self.struck_until: dict[int, int] = {}
        self.rejected: dict[int, tuple[int, int | None]] = {}
        self.waiting: list[int] = []
        self.learnt: list[tuple[int, int, int | None]] = []
        self.out = [("", False, None, 0)] * len(self.events)
        n = 0
        for day, end in enumerate(self.ends):
            while n < len(self.events) and self.events[n].time < end:
                self.decide(n)
                n += 1
            if end > self.until:
                break
            self.close(day, end)
        return self.out

    def decide(self, n: int) -> None:
        event, memory = self.events[n], self.memory
        if memory.copies_within is not None and event.content in self.rejected:
            when, policy = self.rejected[event.content]
            if event.time - when <= memory.copies_within:
                self.out[n] = ("COPY", False, policy, 0)
                self.count(event.advertiser, event.time)
                return
        struck = memory.strikes is not None and event.time <= self.struck_until.get(event.advertiser, -(10**30))
        decision, policy = event.struck if struck and event.struck else event.normal
        self.out[n] = (decision, struck, policy, 0)
        if decision == "REJECT":
            self.reject(n, event.time, policy)
        elif decision == "REVIEW" and memory.capacity:
            self.out[n] = ("PENDING", struck, policy, 0)
            self.waiting.append(n)
        elif decision == "REVIEW":
            self.reviewed(n, event.day)

    def close(self, day: int, end: int) -> None:
        memory = self.memory
        for queue in sorted({self.events[n].queue for n in self.waiting}):
            mine = [n for n in self.waiting if self.events[n].queue == queue]
            if memory.best_first:
                mine.sort(key=lambda n: (self.events[n].priority is None, -(self.events[n].priority or 0.0), n))
            taken = mine if memory.per_day is None else mine[: memory.per_day]
            for n in taken:
                _, struck, policy, _ = self.out[n]
                self.out[n] = ("REVIEWED", struck, policy, day - self.events[n].day)
                self.reviewed(n, day)
                self.waiting.remove(n)
        for n in list(self.waiting):
            if self.events[n].day + memory.max_wait <= day:
                _, struck, policy, _ = self.out[n]
                self.out[n] = ("OVERFLOW", struck, policy, memory.max_wait)
                self.waiting.remove(n)
                if memory.overflow == "REJECT":
                    self.reject(n, end, policy)
        now = [entry for entry in self.learnt if entry[0] == day]
        for _, n, policy in now:
            self.reject(n, end, policy)

    def reviewed(self, n: int, day: int) -> None:
        event = self.events[n]
        if self.memory.humans_move and event.rejects:
            known = next((d for d, end in enumerate(self.ends) if end >= event.known), len(self.ends))
            self.learnt.append((max(day, known), n, self.out[n][2]))

    def reject(self, n: int, time: int, policy: int | None) -> None:
        event = self.events[n]
        self.count(event.advertiser, time)
        if event.content is None:
            return
        before = self.rejected.get(event.content)
        if before is not None and before[0] == time:
            lower = min(-1 if p is None else p for p in (before[1], policy))
            policy = None if lower < 0 else lower
        self.rejected[event.content] = (time, policy)

    def count(self, advertiser: int, time: int) -> None:
        if self.memory.strikes is None:
            return
        count, within, lasts = self.memory.strikes
        last = self.rejections.setdefault(advertiser, [])
        last.append(time)
        if len(last) >= count and last[-1] - last[-count] <= within:
            self.struck_until[advertiser] = time + lasts
