"""What a strategy remembers from one creative to the next, as the operator sets it: values, no behaviour.

The exact meaning of every field stands in engine/replay/README.md, section "State".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.records import Decision

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Capacity:
    """How much its human reviewers can do.

    per_day : work of one queue on one day, in units of `work`; None without limit, and so without a queue.
    work : what one review takes: 1 where capacity counts items, else seconds.
    queue : attributes; every combination of their values (null is one) has a queue of its own. () is a single queue.
    order : who is reviewed first: the first submitted, or the highest of a column or of an exposure.
    column : the score or number that orders, where order is "score".
    weighting : "impressions" or "spend", where order is "exposure".
    max_wait : days after its own on which a creative may still be reviewed; then `overflow` decides.
    overflow : APPROVE, REJECT or PENDING.
    live : what waits is delivered meanwhile; else it is held.
    """

    per_day: int | None
    work: int = 1
    queue: tuple[str, ...] = ()
    order: Literal["first", "score", "exposure"] = "first"
    column: str | None = None
    weighting: Literal["impressions", "spend"] = "impressions"
    max_wait: int = 0
    overflow: Decision = Decision.APPROVE
    live: bool = False


@dataclass(frozen=True)
class Strikes:
    """`count` rejections of an advertiser within `within` microseconds put it under the strategy's struck rules.

    lasts : microseconds for which it stays there, counted from the rejection that completed the count.
    """

    count: int
    within: int
    lasts: int


@dataclass(frozen=True)
class Copies:
    """A content that was rejected is rejected on sight for `within` microseconds."""

    within: int


@dataclass(frozen=True)
class Memory:
    """All that a stateful strategy remembers.

    outcome : what a finished review adds to strikes and copies: nothing, what history's reviewers said, or a draw.
    drawn_by : the calibrated score columns that say how likely a human rejects, where the outcome is drawn.
    replicate : which of the repeated draws this is.
    """

    capacity: Capacity | None = None
    strikes: Strikes | None = None
    copies: Copies | None = None
    outcome: Literal["none", "logged", "drawn"] = "none"
    drawn_by: tuple[str, ...] = ()
    replicate: int = 0

    @property
    def queues(self) -> bool:
        """Whether creatives wait for reviewers."""
        return self.capacity is not None and self.capacity.per_day is not None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.capacity, self.strikes, self.copies))


FORGETFUL = Memory()  # of a strategy without state
