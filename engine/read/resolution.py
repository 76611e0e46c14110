"""Several labels of one creative and policy → one, by a named rule.

`latest`: the last that was known; of equal times the last reviewer by name (one without a name after all), of equal
names the stricter label. `first`: the first that was known, ties the other way round, but again the stricter label.
`majority`: what most labels say, one vote each; a tie goes to the latest. `strictest`: VIOLATING if any label says so.
UNKNOWN concludes nothing and overrules nothing. A label known at an unknown time is neither latest nor first while
another one is timed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.records import I8, I64, Flags

VIOLATING, COMPLIANT, NOT_CONCLUDED = 1, 0, -1
UNTIMED = -(2**63)


@dataclass(frozen=True)
class Pile:
    """Labels of many creatives and policies; k of them.

    row_k, policy_k : which creative and policy. y_k : int8. time_k : microseconds, UNTIMED where nobody knows.
    reviewer_k : the place of the name in the order of names.
    """

    row_k: I64
    policy_k: I64
    y_k: I8
    time_k: I64
    reviewer_k: I64

    def where(self, chosen_k: Flags) -> Pile:
        """Return some of the labels."""
        return Pile(
            self.row_k[chosen_k],
            self.policy_k[chosen_k],
            self.y_k[chosen_k],
            self.time_k[chosen_k],
            self.reviewer_k[chosen_k],
        )


def resolve(pile: Pile, rule: str, shape: tuple[int, int]) -> I8:
    """Return y of every creative and policy, -1 where no label concludes."""
    return _RULES[rule](pile.where(pile.y_k >= 0), shape)


def _latest(pile: Pile, shape: tuple[int, int]) -> I8:
    return _last(pile, np.lexsort((pile.y_k, pile.reviewer_k, pile.time_k)), shape)


def _first(pile: Pile, shape: tuple[int, int]) -> I8:
    untimed = pile.time_k == UNTIMED
    return _last(pile, np.lexsort((pile.y_k, -pile.reviewer_k, -pile.time_k * ~untimed, ~untimed)), shape)


def _majority(pile: Pile, shape: tuple[int, int]) -> I8:
    lead = np.zeros(shape, np.int64)
    np.add.at(lead, (pile.row_k, pile.policy_k), 2 * pile.y_k.astype(np.int64) - 1)
    return np.where(lead == 0, _latest(pile, shape), lead > 0).astype(np.int8)


def _strictest(pile: Pile, shape: tuple[int, int]) -> I8:
    return _last(pile, np.argsort(pile.y_k, kind="stable"), shape)


def _last(pile: Pile, order: I64, shape: tuple[int, int]) -> I8:
    """Return what stands last in an order."""
    out = np.full(shape, NOT_CONCLUDED, np.int8)
    out[pile.row_k[order], pile.policy_k[order]] = pile.y_k[order]  # of equal places numpy keeps the last
    return out


_RULES = {"latest": _latest, "first": _first, "majority": _majority, "strictest": _strictest}
RULES = tuple(_RULES)
