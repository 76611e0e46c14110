"""What is done to a text before Python's parser sees it: brackets bounded, one line, and `$` made readable.

Python cannot read `$name`, so the sign becomes an underscore and its place is remembered; a name that starts at such a
place is a parameter. Quoted texts stay as they are. Nothing moves: every place of the result is the place of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.expression.place import fault_at

MAX_DEPTH = 32

_PIECE = re.compile(
    r"""(?P<text>'(?:[^'\\\r\n]|\\[^\r\n])*'|"(?:[^"\\\r\n]|\\[^\r\n])*")"""
    r"""|(?P<open>['"])|(?P<comment>\#[^\r\n]*)|(?P<line>[\r\n])"""
    r"""|(?P<parameter>\$)|(?P<deeper>[(\[{])|(?P<higher>[)\]}])"""
)
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Scanned:
    """readable : the text for Python's parser, as long as the text. parameter_at : places of `$`."""

    readable: str
    parameter_at: frozenset[int]


def scan(text: str) -> Scanned:
    """Check how deep a text nests and make it readable.

    Raises
    ------
    ExpressionError : nested too deep, a quote that is not closed, or a `$` that starts no name.
    """
    for at, character in enumerate(text):
        if character in "\0\ufeff" or "\ud800" <= character <= "\udfff":  # Python drops a byte order mark: places move
            raise fault_at(text, at, "a character that cannot be read")
    readable = list(text)
    parameters: set[int] = set()
    depth = 0
    for piece in _PIECE.finditer(text):
        first, last = piece.span()
        match piece.lastgroup:
            case "open":
                raise fault_at(text, first, "a quote that is not closed on its line")
            case "text" if text[last : last + 1] in ("'", '"'):
                raise fault_at(text, last, "two quoted texts without anything between them")
            case "comment" | "line":
                readable[first:last] = " " * (last - first)
            case "parameter":
                if not _NAME.match(text, first + 1) or re.match(r"[\w.$]", text[first - 1 : first]):
                    raise fault_at(text, first, "a parameter is written $name")
                parameters.add(first)
                readable[first] = "_"
            case "deeper" | "higher":
                depth += 1 if piece.lastgroup == "deeper" else -1
                if depth > MAX_DEPTH:
                    raise fault_at(text, first, f"nested deeper than {MAX_DEPTH}")
    return Scanned("".join(readable), frozenset(parameters))
