"""matplotlib's SVG → SVG that lives inside a page with a strict content policy.

Such a page allows no style attributes, may hold many drawings, and changes its colours with the reader's.
So style becomes presentation attributes, ids get a prefix, namespaces go (inline SVG needs none), and each
colour of the palette becomes a CSS variable of the page.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

INK, MUTED, RULE, PAPER = "#1f2328", "#6b7077", "#d9d6cf", "#fdfcf9"
SERIES = ("#6f7379", "#2a6496", "#b5521a", "#3a7d53", "#8457a5", "#8a6a16", "#a63d57")  # 0 is `logged`
COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper"} | {c: f"c{i}" for i, c in enumerate(SERIES)}

_KEPT = {
    "clip-path", "fill", "fill-opacity", "font-size", "font-weight", "opacity", "stroke", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor",
}  # fmt: skip
_REFERRED = {"path", "clipPath"}  # other elements have ids that nothing points at
_REFERENCE = re.compile(r"^url\(#(.+)\)$")


def inline(drawing: str, key: str, label: str) -> str:
    """Return the drawing as an `<svg>` element for a page.

    Parameters
    ----------
    drawing : a whole SVG document as matplotlib writes it, text as text.
    key : unique in the page; prefixes every id.
    label : what a screen reader says; already clean.
    """
    root = ElementTree.fromstring(drawing)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.text, element.tail = _squeezed(element.text, element.tag), None
        element.attrib = _attributes(element, key)
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in ("style", "metadata")]:
            parent.remove(child)
    view = root.attrib["viewBox"]
    root.attrib = {"class": "plot", "viewBox": view, "role": "img", "aria-label": label}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _squeezed(text: str | None, tag: str) -> str | None:
    return text if tag == "text" else None


def _attributes(element: ElementTree.Element, key: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in element.attrib.items():
        local = _local(name)
        if local == "style":
            found |= _presentation(value, key)
        elif local == "id":
            if element.tag in _REFERRED:
                found["id"] = f"{key}-{value}"
        elif local == "href":
            found["href"] = f"#{key}-{value.removeprefix('#')}"
        elif local == "d":
            found["d"] = " ".join(value.split())
        else:
            found[local] = _pointed(value, key)
    return found


def _presentation(style: str, key: str) -> dict[str, str]:
    """Split a style attribute; the font family is left to the page."""
    found: dict[str, str] = {}
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # matplotlib before 3.10 writes the shorthand
            size = re.search(r"[\d.]+px", value)
            found["font-size"] = size[0] if size else "9px"
        elif name in _KEPT:
            found[name] = _pointed(_coloured(value), key)
    return found


def _coloured(value: str) -> str:
    return f"var(--{COLOURS[value]})" if value in COLOURS else value


def _pointed(value: str, key: str) -> str:
    return _REFERENCE.sub(rf"url(#{key}-\1)", value)
