"""report.html: one page that carries everything it needs, fetches nothing and runs nothing.

The content policy allows the one style sheet (by its hash) and no script. Text reaches the page through
autoescaping alone; the only markup not written by the template is the SVG of `plots` and the style sheet.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.report.layout import build_page
from engine.report.page import Picture
from engine.report.plots import draw
from engine.report.wording import plain

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent


def render_html(summary: Mapping[str, Any], estimates: pa.Table, truth: pa.Table | None) -> str:
    """Render the page of a run: same input, same bytes.

    Parameters
    ----------
    summary : what summary.json holds.
    estimates : schema.ESTIMATES.
    truth : as in `layout.build_page`, None where no simulation knows it.

    Raises
    ------
    KeyError : the summary lacks a key.
    """
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    template = _environment().get_template("template.html")
    page = build_page(summary, estimates, truth)
    return template.render(page=page, style=_trusted(style), policy=_content_policy(style)).lstrip()


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


def _drawn(picture: Picture) -> str:
    return _trusted(draw(picture))


def _inlined(jpeg: bytes) -> str:
    """Write a picture of the engine's own making as an address that needs no request."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _trusted(markup: str) -> str:
    from markupsafe import Markup

    return Markup(markup)


def _content_policy(style: str) -> str:
    """Allow this style sheet and nothing else: no script, no frame, no request."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
