"""How many labels would decide a gate that these cannot decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from engine.estimate.evidence import Evidence
from engine.estimate.sample import HISTORY
from engine.verdict.gate import Gate, harm_of

POWER = 0.9


@dataclass(frozen=True)
class Needed:
    """How many labels in all, and how many more; None where no number can be planned, for the reason given."""

    labels: int | None
    more: int | None
    reason: str | None = None


def labels_needed(gate: Gate, evidence: Evidence, level: float, next_level: float, power: float = POWER) -> Needed:
    """Return the labels with which an undecided gate would pass with the given power, if the estimate were the truth.

    The current design is kept and only made larger: the variance is S² (1/n − 1/N), n labels of N creatives. S is taken
    from the distance between estimate and bound, so that few events, whose bounds are wider than their variance says,
    ask for more labels.

    Parameters
    ----------
    level : one-sided confidence of the bounds at hand. next_level : that of the look at which the labels would count.
    """
    harm = harm_of(gate, evidence)
    if harm is None:
        return Needed(None, None, evidence.null_reason)
    if gate.inference != HISTORY:
        return Needed(None, None, "labels alone do not narrow what differs between advertisers")
    gap, error = gate.limit - harm.estimate, (harm.high - harm.estimate) / float(ndtri(level))
    if gap <= 0:
        return Needed(None, None, "the estimate itself lies outside the margin")
    n, whole = evidence.labels, evidence.creatives
    if not 0 < n < whole or error <= 0:
        return Needed(None, None, "every creative of it is labelled already")
    spread = error**2 / (1 / n - 1 / whole)
    wanted = gap / (float(ndtri(next_level)) + float(ndtri(power)))
    total = min(whole, math.ceil(1 / (wanted**2 / spread + 1 / whole)))
    return Needed(max(total, n + 1), max(total - n, 1))
