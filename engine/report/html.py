"""report.html: one page that carries everything it needs and fetches nothing.

The content policy allows one style sheet and one script, each by its hash. Text reaches the page through autoescaping,
and through one block of JSON that no script executes; the only markup not written by the template is the SVG of
`plots` and `frontier_plot`, the style sheet and the script. Without the script everything but moving limits is there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.report.frontier import frontier_data
from engine.report.frontier_plot import draw_frontier, plane_data, plane_of
from engine.report.page import Frontier, Page, Picture
from engine.report.plots import draw
from engine.report.wording import plain

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent
_ESCAPED = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


def page_html(page: Page) -> str:
    """Write a page as HTML: same page, same bytes."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    template = _environment().get_template("template.html")
    return template.render(
        page=page,
        style=_trusted(style),
        script=_trusted(script),
        data=_trusted(as_block(_data(page))),
        policy=_content_policy(style, script),
    ).lstrip()


def as_block(value: object) -> str:
    """Write JSON that ends no element and no line of a script: ASCII without `<`, `>` and `&`."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)


def _data(page: Page) -> dict[str, Any]:
    """Return what the script reads."""
    blocks = (block for section in page.sections for block in section.blocks)
    found = next((block for block in blocks if isinstance(block, Frontier)), None)
    return {} if found is None else {"frontier": frontier_data(found) | {"plane": plane_data(plane_of(found))}}


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_clean,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["draw"] = _drawn
    environment.filters["inline"] = _inlined
    environment.tests["record"] = lambda value, name: type(value).__name__ == name
    return environment


def _clean(value: object) -> object:
    """Clean foreign text on its way out; what the template itself made is left as it is."""
    return plain(value) if type(value) is str else value


def _drawn(picture: Picture | Frontier) -> str:
    return _trusted(draw_frontier(picture) if isinstance(picture, Frontier) else draw(picture))


def _inlined(jpeg: bytes) -> str:
    """Write a picture of the engine's own making as an address that needs no request."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _trusted(markup: str) -> str:
    from markupsafe import Markup

    return Markup(markup)


def _content_policy(style: str, script: str) -> str:
    """Allow this style sheet, this script and nothing else: no frame, no request, no markup made by a script."""
    allowed = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    return (
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ).format(*allowed)
