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
    waiting_D : in the queue after that. mean_D : days until the review of those sent on the day who were reviewed.
    ninth_D : days within which nine tenths of all sent on the day were reviewed. NaN where there are none such.
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
    done = [o for o in queued if rules[o].state not in (OVERFLOW, PENDING)]
    late = [o for o in queued if rules[o].state == OVERFLOW]
    asked_D = count_OD[queued].sum(0)
    reviewed_D, late_D = (_at_the_end(count_OD, some, rules) for some in (done, late))
    wait_o = np.array([rules[o].waited for o in done], np.int64)
    done_oD = count_OD[done]
    seen_D = done_oD.sum(0)
    mean_D = np.where(seen_D > 0, wait_o @ done_oD / np.maximum(seen_D, 1), np.nan)
    waiting_D = np.cumsum(asked_D - reviewed_D - late_D)
    return QueueDays(asked_D, reviewed_D, late_D, waiting_D, mean_D, _percentile(done_oD, wait_o, asked_D))


def _at_the_end(count_OD: I64, some: Sequence[int], rules: Sequence[Rule]) -> I64:
    """Count outcomes on the day on which they fell, not that of submission."""
    days = count_OD.shape[1]
    found_D = np.zeros(days, np.int64)
    for o in some:
        waited = min(rules[o].waited, days)
        found_D[waited:] += count_OD[o, : days - waited]
    return found_D


def _percentile(done_oD: I64, wait_o: I64, asked_D: I64) -> F64:
    """Return the least wait that nine tenths of all who were sent keep to, NaN where those are not all reviewed."""
    found_D = np.full(len(asked_D), np.nan)
    for wait in np.unique(wait_o)[::-1]:
        enough: Flags = (10 * done_oD[wait_o <= wait].sum(0) >= 9 * asked_D) & (asked_D > 0)
        found_D[enough] = wait
    return found_D
