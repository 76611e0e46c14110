"""What queues do day by day, from counts of outcomes by day of submission: an outcome says how long it waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.records import F64, I64, Flags
from engine.strategy import Rule
from engine.strategy.codes import OVERFLOW, PENDING


@dataclass(frozen=True)
class QueueDays:
    """Creatives of the period by local day, D of them.

    asked_D : sent to review. reviewed_D, late_D : reviewed, or given up on, at the end of that day.
    waiting_D : in the queue after that. mean_D, ninth_D : days that those sent on the day waited until they were
    reviewed or given up on, mean and least that nine tenths keep to; NaN where all of them still wait.
    """

    asked_D: I64
    reviewed_D: I64
    late_D: I64
    waiting_D: I64
    mean_D: F64
    ninth_D: F64


def queue_days(count_OD: I64, rules: Sequence[Rule]) -> QueueDays:
    """Return what the queues of one strategy did.

    Parameters
    ----------
    count_OD : creatives by outcome and day of submission. rules : what each outcome means; the others were not queued.
    """
    queued = [o for o, rule in enumerate(rules) if rule.queued]
    ended = [o for o in queued if rules[o].state != PENDING]
    late = [o for o in ended if rules[o].state == OVERFLOW]
    asked_D = count_OD[queued].sum(0)
    ended_D, late_D = (_at_the_end(count_OD, some, rules) for some in (ended, late))
    wait_o, ended_oD = np.array([rules[o].waited for o in ended], np.int64), count_OD[ended]
    known_D = ended_oD.sum(0)
    mean_D = np.where(known_D > 0, wait_o @ ended_oD / np.maximum(known_D, 1), np.nan)
    waiting_D = np.cumsum(asked_D - ended_D)
    return QueueDays(asked_D, ended_D - late_D, late_D, waiting_D, mean_D, _ninth(ended_oD, wait_o))


def _at_the_end(count_OD: I64, some: Sequence[int], rules: Sequence[Rule]) -> I64:
    """Count outcomes on the day on which they fell, not that of submission."""
    days = count_OD.shape[1]
    found_D = np.zeros(days, np.int64)
    for o in some:
        waited = min(rules[o].waited, days)
        found_D[waited:] += count_OD[o, : days - waited]
    return found_D


def _ninth(ended_oD: I64, wait_o: I64) -> F64:
    """Return the least wait that nine tenths keep to, NaN where there is nobody."""
    known_D = ended_oD.sum(0)
    found_D = np.full(len(known_D), np.nan)
    for wait in np.unique(wait_o)[::-1]:
        enough: Flags = (10 * ended_oD[wait_o <= wait].sum(0) >= 9 * known_D) & (known_D > 0)
        found_D[enough] = wait
    return found_D
