"""What the order of events alone tells, the same for every strategy: days, repeated contents, velocity, age."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from engine.records import F64, I32, I64


@dataclass(frozen=True)
class History:
    """N events by (time, creative).

    time_N : microseconds since 1970 UTC, never falling. advertiser_N : codes from 0, the most frequent one first, so
    that what is remembered of them lies together.
    slot_N : contents that occur more than once, see `slots`; empty where no content is known.
    advertisers, slots : how many there are.
    midnight_D : ends of the local days, rising, the first of them after the first event; the last one after the last.
    until : the end of the history, microseconds; days that end later are not over.
    """

    time_N: I64
    advertiser_N: I32
    slot_N: I32
    midnight_D: I64
    until: int
    advertisers: int
    slots: int

    def at(self, rows: I64) -> History:
        """Return the history of some of the events, in order; codes and days stay what they are."""
        return replace(
            self,
            time_N=self.time_N[rows],
            advertiser_N=self.advertiser_N[rows],
            slot_N=self.slot_N[rows] if len(self.slot_N) else self.slot_N,
        )

    def before(self, moment: int) -> History:
        """Return the history as it was known at a moment: events until then, that one included."""
        rows = int(np.searchsorted(self.time_N, moment, "right"))
        days = int(np.searchsorted(self.midnight_D, moment, "right")) + 1
        return replace(
            self,
            time_N=self.time_N[:rows],
            advertiser_N=self.advertiser_N[:rows],
            slot_N=self.slot_N[:rows],
            midnight_D=self.midnight_D[:days],
            until=min(moment, self.until),
        )


def make_history(time_N: I64, advertiser_N: I32, content_N: I32, midnight_D: I64, until: int) -> History:
    """Return the history of events in order; content_N : codes from 0, -1 for none, empty where none is known."""
    slot_N, count = slots(content_N)
    events_A = np.bincount(advertiser_N)
    code_A = np.empty(len(events_A), np.int32)
    code_A[np.argsort(-events_A, kind="stable")] = np.arange(len(events_A), dtype=np.int32)
    return History(time_N, code_A[advertiser_N], slot_N, midnight_D, until, len(events_A), count)


def slots(content_N: I32) -> tuple[I32, int]:
    """Number the contents that occur more than once, by first occurrence; -1 for the others. Return how many, too."""
    slot_N = np.full(len(content_N), -1, np.int32)
    if not len(content_N):
        return slot_N, 0
    count_U = np.bincount(content_N[content_N >= 0])
    return slot_N, _number(content_N, count_U, np.full(len(count_U), -1, np.int32), slot_N)


def velocity(history: History, hours: int) -> F64:
    """Return how many events of the advertiser came before this one, within so many hours, shape (N,).

    An event exactly so many hours ago counts no more; of equal times the earlier one in order counts.
    """
    back = hours * 3_600_000_000
    order = np.argsort(history.advertiser_N, kind="stable")
    count_N = np.zeros(len(order))
    _velocity(order, history.time_N, history.advertiser_N, back, count_N)
    return count_N


def advertiser_age(history: History) -> F64:
    """Return days since the advertiser's first event, shape (N,)."""
    first_A = np.full(history.advertisers, np.iinfo(np.int64).max)
    np.minimum.at(first_A, history.advertiser_N, history.time_N)
    return np.asarray((history.time_N - first_A[history.advertiser_N]) / 86_400_000_000)


@njit(cache=True, nogil=True)
def _number(content_N: I32, count_U: I64, number_U: I32, slot_N: I32) -> int:
    size = 0
    for n in range(len(content_N)):
        content = content_N[n]
        if content >= 0 and count_U[content] > 1:
            if number_U[content] < 0:
                number_U[content] = size
                size += 1
            slot_N[n] = number_U[content]
    return size


@njit(cache=True, nogil=True)
def _velocity(order: I64, time_N: I64, advertiser_N: I32, back: int, count_N: F64) -> None:
    """Slide a window over each advertiser's events."""
    first = 0
    for i in range(len(order)):
        n = order[i]
        if advertiser_N[order[first]] != advertiser_N[n]:
            first = i
        while time_N[order[first]] <= time_N[n] - back:
            first += 1
        count_N[n] = i - first
