"""How sure one must be of each of many numbers to be as sure as asked of all of them at once.

The linearised error of a number is a sum Σ p over what the audits drew (creatives or whole clusters), each part centred
within its stratum and scaled by the finite-population correction, so that Σ p² is the number's variance for `history`.
Errors of several numbers share their units. The multiplier bootstrap draws e ~ N(0, 1) for each unit and looks at the
greatest |Σ e p| / √Σ p² over all numbers; its quantile c holds for all of them at once, however they depend on each
other (Chernozhukov, Chetverikov, Kato 2013, Annals of Statistics 41, 2786–2819). Each number then gets its own interval
at the level at which a single normal stays within c. That keeps what the intervals know of few events.

Assumption: errors are sums of many parts, none of which dominates. Numbers whose error is no such sum over these units
(reviewer error, cost, what a scored sample estimates) are taken as independent of all others, which only widens:
normal errors lie within symmetric bounds together at least as often as if independent (Royen 2014).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import erf, erfinv

from engine.estimate.chosen import Basis, overall
from engine.estimate.decision_rates import decision_rate
from engine.estimate.metrics import COST, DECISION_RATES, RATES, Number
from engine.estimate.question import Question
from engine.estimate.sample import Sample
from engine.estimate.strata import centred_parts
from engine.records import F64

DRAWS = 10_000
_BLOCK = 500  # draws at a time
_DIGITS = 6  # of a level: what another order of additions changes is rounded away


def error_parts(sample: Sample, residual_m: F64) -> F64:
    """Return what each drawn unit adds to the error of Σ weight · residual over the only segment of a sample.

    The sum of their squares is `Sample.history_spread`'s variance. Last stands a part per stratum for the units outside
    the segment, whose value is 0. Clusters that were drawn one by one (`Sample.clustered`) are not known here.
    """
    u_m, strata = sample.weight_m * residual_m, sample.strata
    whole = strata.drawn_by("cluster")
    srs_H, pps_H = strata.drawn_by("srs"), strata.drawn_by("pps")
    stratum_m = sample.key_m
    spare_m = np.where(srs_H[stratum_m], strata.left_H[stratum_m], 1.0 - 1.0 / sample.base_m)
    units_H = np.where(srs_H, strata.take_H, np.where(pps_H, strata.units_H, 0))
    spare_H = np.where(srs_H, strata.left_H * strata.take_H, strata.spare_H)
    alone_m = ~whole[stratum_m]
    parts = [centred_parts(u_m * alone_m, spare_m, stratum_m, units_H, spare_H)]
    if strata.clustered:
        units, chance_m = sample.units, sample.chance_n[sample.at_m]
        total_T, stratum_T = units.totals(u_m * ~alone_m), stratum_m[units.first_T]
        chance_T = np.where(whole[stratum_T], chance_m[units.first_T], 1.0)
        parts.append(centred_parts(total_T, 1.0 - chance_T, stratum_T, strata.units_H * whole, strata.spare_H))
        silent_H = 1.0 - strata.answered_H
        phase_m = np.sqrt(chance_m) * u_m * ~alone_m
        taken_H = strata.take_H * whole
        parts.append(centred_parts(phase_m, silent_H[stratum_m], stratum_m, taken_H, silent_H * taken_H))
    return np.concatenate(parts)


def unit_errors(
    question: Question, numbers: Sequence[Number], policy: str, reading: str
) -> Iterator[Mapping[Number, F64 | None]]:
    """Yield, strategy by strategy, the error parts of the chosen numbers over the question's first segment.

    Empty where a number is known exactly; None where its error is no sum over the audit's units.
    """
    basis = Basis.of(overall(question), policy, reading)
    for s in range(len(question.table.strategies)):
        yield {number: _errors(basis, s, number) for number in numbers}


def standard_error(parts: F64 | None) -> float | None:
    """Return √Σ p²; None where the parts are unknown."""
    return None if parts is None else float(np.sqrt(parts @ parts))


def joint_confidence(parts: Sequence[F64 | None], confidence: float, seed: int, draws: int = DRAWS) -> float:
    """Return the confidence at which intervals of all the numbers hold at once with the one that is asked for.

    parts : per number, see unit_errors; all that are there stand for the same units. A number without any error among
    the labels (no event was seen) has one all the same: it is taken as independent of the others.
    """
    some = [each for each in parts if each is not None and each.any()]
    unknown = len(parts) - len(some)
    generator = np.random.default_rng([seed, len(some), unknown])
    greatest = np.zeros(draws)
    if some:
        greatest = greatest_deviations(np.stack(some), draws, generator)
    if unknown:  # the greatest of so many independent ones, from one uniform draw
        alone = np.sqrt(2.0) * erfinv(generator.random(draws) ** (1.0 / unknown))
        greatest = np.maximum(greatest, alone)
    level = float(erf(np.quantile(greatest, confidence, method="higher") / np.sqrt(2.0)))
    return max(confidence, min(round(level, _DIGITS), 1.0 - 10.0**-_DIGITS))


def greatest_deviations(part_MT: F64, draws: int, generator: np.random.Generator) -> F64:
    """Draw the greatest |Σ e p| / √Σ p² over M numbers, no row of which is all 0; shape (draws,).

    Where units outnumber numbers, normal multipliers are drawn for the symmetric root of the correlations instead:
    what comes out has the same distribution.
    """
    share_MT = part_MT / np.sqrt((part_MT**2).sum(1, keepdims=True))
    if share_MT.shape[1] > len(share_MT):
        value_K, vector_MK = np.linalg.eigh(share_MT @ share_MT.T)
        share_MT = vector_MK * np.sqrt(np.maximum(value_K, 0.0)) @ vector_MK.T
    out = np.empty(draws)
    for start in range(0, draws, _BLOCK):
        block = out[start : start + _BLOCK]
        block[:] = np.abs(generator.standard_normal((len(block), share_MT.shape[1])) @ share_MT.T).max(1)
    return out


def _errors(basis: Basis, strategy: int, number: Number) -> F64 | None:
    mine, whole, drawn = basis.views(strategy, number.weighting)
    if number.metric == COST:
        return None
    if number.metric in DECISION_RATES:
        rate = decision_rate(whole, drawn, number.metric)
        if basis.question.scored is not None:
            return None
        if not rate.humans_G.any():
            return np.zeros(0)
        if whole.error is not None or basis.at != basis.last:
            return None
        return error_parts(whole.sample, rate.human_residual_m())
    if mine.error is not None:
        return None
    (metric,) = (each for each in RATES if each.name == number.metric)
    return error_parts(mine.sample, mine.ratio(metric, mine.terms()).residual_m)
