"""How numbers and foreign text are written down.

Names, segments and reasons may be ad text written by an attacker: `plain` is the door that every one of them
passes on its way out. Escaping for HTML or Markdown comes after it and belongs to those pages.
"""

from __future__ import annotations

import math
import re
import unicodedata

DASH = "—"
READINGS = {"machine": "machine alone", "after_review": "after review"}
INFERENCES = {"history": "this history", "future": "creatives like these"}
GLOSSES = {
    "leakage_rate": "of violating exposure, the share that is delivered",
    "leakage_prevalence": "of delivered exposure, the share that violates",
    "overkill_rate": "of compliant exposure, the share that is refused",
    "overkill_share": "of refused exposure, the share that was compliant",
    "review_rate": "of everything submitted, the share sent to a human",
    "reject_rate": "of everything submitted, the share rejected",
    "limit_rate": "of everything submitted, the share delivered in part",
    "automation_rate": "of everything submitted, the share no human sees",
    "delay_compliant": "of compliant exposure, the share withheld while waiting",
    "review_precision": "of what is sent to a human, the share that violates",
    "cost": "in the prices of the config",
    "mean.impressions": "impressions delivered per creative, from decisions that history took by chance",
    "mean.spend": "spend delivered per creative, from decisions that history took by chance",
}

_KEPT_FORMAT = "\u200c\u200d"  # joiners: Persian and emoji need them, and they move nothing
_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_RTL_RUN = re.compile(f"[{_RTL}]+(?:[^\\w{_RTL}]+[{_RTL}]+)*")
_ISOLATE, _POP = "\u2068", "\u2069"


def plain(text: str) -> str:
    """Return text that cannot command a terminal, reorder its neighbours or break an encoder.

    Control, bidirectional and other invisible characters become visible; each right-to-left run is isolated.
    """
    if text.isascii() and text.isprintable():
        return text
    seen = "".join(char if char.isprintable() else _visible(char) for char in text)
    return _RTL_RUN.sub(lambda run: f"{_ISOLATE}{run[0]}{_POP}", seen)


def _visible(char: str) -> str:
    code = ord(char)
    if char in "\t\n\r\u2028\u2029" or unicodedata.category(char) == "Zs":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if unicodedata.category(char) == "Cf":
        return char if char in _KEPT_FORMAT else f"[U+{code:04X}]"
    return "\N{REPLACEMENT CHARACTER}"


def clip(text: str, limit: int = 80) -> str:
    """Return at most `limit` characters, the last one an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def count(value: float | None) -> str:
    """Write a count or an amount with thousands apart; below 100 with one decimal where it has any."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.1f}"


def share(value: float | None) -> str:
    """Write a share in [0, 1] as a percentage; what rounds to 0 or 100 % but is not says so."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{100 * value:.1f} %"
    if text == "0.0 %" and value > 0:
        return "< 0.1 %"
    return "> 99.9 %" if text == "100.0 %" and value < 1 else text.replace(".0 %", " %")


def decimals(width: float | None) -> int:
    """Return how many decimals an interval of this width deserves: two digits of the width, at most 5."""
    if width is None or not math.isfinite(width) or width <= 0:
        return 2
    return min(max(math.ceil(-math.log10(width)) + 1, 0), 5)


def fixed(value: float, places: int, *, signed: bool = False) -> str:
    """Write a number with fixed decimals, a true minus and no negative zero."""
    text = f"{value:{'+' if signed else ''},.{places}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def day(moment: str | None) -> str:
    """Write an ISO moment, midnights as dates."""
    if moment is None:
        return DASH
    return moment[:10] if moment[10:] in ("T00:00:00Z", "T00:00:00+00:00") else moment.replace("T", " ")
