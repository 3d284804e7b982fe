"""Rendering of the page: one HTML file without any address that a browser would load."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.analysis.page.content import PageInput, page_content
from harness.analysis.plots.save import DrawnFigure

__all__ = ["data_uri", "note_blocks", "render_page"]

LARGEST_SVG = 400_000
"""Bytes up to which a figure stands in the page as SVG; beyond, the smaller of SVG and PNG does."""


def render_page(page: PageInput) -> str:
    """Return the page as HTML; equal input gives equal text.

    Every text is escaped, and a policy in the page forbids it to load anything and to run any script but its own.
    """
    environment = Environment(
        loader=PackageLoader("harness.analysis.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_asset(environment, name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        page_content(page),
        style=Markup(style),  # a file of this package, not input
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data_uri=data_uri,
        note_blocks=note_blocks,
    )


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def data_uri(figure: DrawnFigure) -> str:
    """Return the figure as a data URI: SVG, which stays sharp, unless it is large and PNG is smaller."""
    svg, png = figure.svg.read_bytes(), figure.png.read_bytes()
    kind, content = ("svg+xml", svg) if len(svg) <= max(LARGEST_SVG, len(png)) else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Block:
    """Part of a note: a paragraph, a list, or a table whose first row is its header."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def note_blocks(note: str) -> Iterator[Block]:
    """Yield the paragraphs, lists and tables of a note that is written in Markdown."""
    for part in note.strip().split("\n\n"):
        lines = part.splitlines()
        if lines and lines[0].startswith("|"):
            rows = tuple(tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in lines)
            yield Block("table", rows=(rows[0], *rows[2:]))
        elif lines and all(line.startswith("- ") for line in lines):
            yield Block("list", rows=tuple((line[2:],) for line in lines))
        else:
            yield Block("paragraph", text=" ".join(lines))
