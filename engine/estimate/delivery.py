"""What a decision does to a creative: the shares it delivers (A), withholds (H) and refuses (R); A + H + R = 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import ANY, F64, LOGGED, Decision, Flags
from engine.strategy import Review, Rule, Strategy

MACHINE, AFTER_REVIEW = "machine", "after_review"
READINGS = (MACHINE, AFTER_REVIEW)


@dataclass(frozen=True)
class Delivery:
    """Shares by outcome and truth: float64 (O, 2), the second axis is y (0 compliant, 1 violating).

    review_O, reject_O, limit_O : the strategy's decision, as indicators.
    final_reject_OY, final_limit_OY : probability that the final decision is that.
    owed_O : the decision is owed to the policy at hand. ambiguous_O : nobody can say to which policy it is owed.
    unknown_O : history does not say how the review ended. null_reason : why this reading cannot be had, else None.
    """

    accept_OY: F64
    hold_OY: F64
    refuse_OY: F64
    review_O: F64
    reject_O: F64
    limit_O: F64
    final_reject_OY: F64
    final_limit_OY: F64
    owed_O: Flags
    ambiguous_O: Flags
    unknown_O: Flags
    null_reason: str | None = None

    @property
    def touches_O(self) -> Flags:
        """Outcomes that refuse, withhold or review anything."""
        return self.refuse_OY.any(1) | self.hold_OY.any(1) | (self.review_O > 0)

    def shares(self) -> tuple[F64, F64, F64]:
        """Return A, H and R."""
        return self.accept_OY, self.hold_OY, self.refuse_OY

    def unknown_final(self, count_OG: F64) -> F64:
        """Return how many creatives of each segment history leaves without a final decision."""
        return np.asarray(count_OG[self.unknown_O].sum(0))


def delivery(strategy: Strategy, rules: tuple[Rule, ...], policy: str, reading: str, *, counted: bool) -> Delivery:
    """Return the shares of every outcome of a strategy under one policy and reading.

    Parameters
    ----------
    counted : weighting by creatives, where a LIMIT delivers (A = 1, R = 0) and stands in limit_rate instead.
    """
    reason = None
    rows = []
    for rule in rules:
        if reading == MACHINE or (rule.final is None and rule.decision is not Decision.REVIEW):
            shares = _decided(rule.decision, rule.share, counted)
        elif rule.final is not None:
            shares = _decided(rule.final, rule.final_share, counted)
        else:
            rates = strategy.review.rates(policy)
            if rates is None:
                reason = f"review.sensitivity and specificity are not given for {policy}"
                rates = (1.0, 1.0)
            shares = _reviewed(rates, rule.share, counted)
        rows.append(_waited(shares, _held(strategy, rule, reading), 1.0 if counted else rule.share, strategy.review))
    accept, hold, refuse, final_reject, final_limit = np.moveaxis(np.array(rows), 2, 0)
    decision_O = np.array([rule.decision for rule in rules])
    return Delivery(
        accept_OY=accept,
        hold_OY=hold,
        refuse_OY=refuse,
        review_O=(decision_O == Decision.REVIEW).astype(np.float64),
        reject_O=(decision_O == Decision.REJECT).astype(np.float64),
        limit_O=(decision_O == Decision.LIMIT).astype(np.float64),
        final_reject_OY=final_reject,
        final_limit_OY=final_limit,
        owed_O=np.array([policy in {ANY, rule.policy} for rule in rules]),
        ambiguous_O=np.array([policy != ANY and rule.policy is None for rule in rules]),
        unknown_O=np.array([reading == AFTER_REVIEW and _review_unended(strategy, rule) for rule in rules]),
        null_reason=reason,
    )


def _review_unended(strategy: Strategy, rule: Rule) -> bool:
    return strategy.name == LOGGED and rule.decision is Decision.REVIEW and rule.final is None


def _decided(decision: Decision, share: float, counted: bool) -> list[list[float]]:
    delivered = 1.0 if counted else share
    row = {
        Decision.APPROVE: [1.0, 0.0, 0.0, 0.0, 0.0],
        Decision.LIMIT: [delivered, 0.0, 1.0 - delivered, 0.0, 1.0],
        Decision.REVIEW: [0.0, 1.0, 0.0, 0.0, 0.0],
        Decision.PENDING: [0.0, 1.0, 0.0, 0.0, 0.0],
        Decision.REJECT: [0.0, 0.0, 1.0, 1.0, 0.0],
    }[decision]
    return [row, row]


def _reviewed(rates: tuple[float, float], share: float, counted: bool) -> list[list[float]]:
    """A = q s, R = 1 − q s, q the probability that the human approves; nothing has waited yet."""
    sensitivity, specificity = rates
    delivered = 1.0 if counted else share
    rows = []
    for approves in (specificity, 1.0 - sensitivity):  # y = 0, y = 1
        accept = approves * delivered
        rows.append([accept, 0.0, 1.0 - accept, 1.0 - approves, approves if share < 1.0 else 0.0])
    return rows


def _held(strategy: Strategy, rule: Rule, reading: str) -> float:
    """Return the share H of its exposure life for which a creative waits for a human."""
    if rule.decision is not Decision.REVIEW or strategy.name == LOGGED:
        return 0.0
    if reading == MACHINE or rule.final is Decision.PENDING:
        return 1.0
    return strategy.review.waiting(rule.waited)


def _waited(shares: list[list[float]], held: float, meanwhile: float, review: Review) -> list[list[float]]:
    """Return the shares of a creative whose decision took effect after H of its exposure life.

    Held, A = (1 − H) q s and R = (1 − H) (1 − q s). Live, the share `meanwhile` is delivered while it waits.
    """
    if held == 0.0:
        return shares
    withheld, delivered = (0.0, held * meanwhile) if review.live else (held, 0.0)
    out = []
    for accept, _, _, rejected, limited in shares:
        total = (1.0 - held) * accept + delivered
        out.append([total, withheld, 1.0 - withheld - total, rejected, limited])
    return out
