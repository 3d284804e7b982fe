"""Tables as LaTeX, for the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["latex"]

_MANY_ROWS = 40
"""Rows beyond which a table is made of several pages by the package longtable."""

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # at the beginning of a row, \\[ would be an option of the row before it
    "]": "{]}",
    "−": r"$-$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "–": "--",
    "\n": " ",
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))
_NUMBER = re.compile(r"[-−]?[\d.,]+(e[-+]?\d+)?|[-–]|[-−]?∞|<0\.0001|")


def latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a table that `\usepackage{booktabs,textcomp}` typesets, with all texts escaped.

    Columns of numbers are aligned at the right. More than forty rows become a `longtable`, which is a package, too.
    """
    columns = [[row[place] for row in rows] for place in range(len(header))]
    alignment = "".join("r" if all(map(_NUMBER.fullmatch, column)) else "l" for column in columns)
    kind = "longtable" if len(rows) > _MANY_ROWS else "tabular"
    top = r"\endhead" if kind == "longtable" else ""
    lines = [
        rf"\begin{{{kind}}}{{{alignment}}}",
        r"\toprule",
        _row(header),
        r"\midrule" + top,
        *map(_row, rows),
        r"\bottomrule",
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text)
