"""Registry of the figures of a report: every function decorated with `report_figure`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, overload

from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.style import themed

__all__ = ["Pages", "pages_of", "registered_figures", "report_figure"]

P = ParamSpec("P")
Draw = Callable[Concatenate[Results, P], Figure]

_FIGURES: dict[str, Callable[..., Figure]] = {}
_PAGES: dict[str, Pages] = {}


@dataclass(frozen=True)
class Pages:
    """Division of a figure of many environments into pages."""

    envs_per_page: int = 12
    most_pages: int = 4
    """Number of pages beyond which environments are left to the tables."""


@overload
def report_figure(draw: Draw[P]) -> Draw[P]: ...


@overload
def report_figure(*, envs_per_page: int = ..., most_pages: int = ...) -> Callable[[Draw[P]], Draw[P]]: ...


def report_figure(draw: Any = None, **pages: int) -> Any:
    """Draw the decorated figure in the theme, and make it part of every report under the function's name.

    Its keywords are settings of `save_all`, which passes those that the function has.
    pages: fields of `Pages`, if the figure needs others than the usual.
    """

    def register(function: Callable[..., Figure]) -> Callable[..., Figure]:
        in_theme = themed()(function)
        _FIGURES[in_theme.__name__] = in_theme
        _PAGES[in_theme.__name__] = Pages(**pages)
        return in_theme

    return register if draw is None else register(draw)


def pages_of(name: str) -> Pages:
    """Return the division of a registered figure into pages."""
    return _PAGES[name]


def registered_figures() -> Mapping[str, Callable[..., Figure]]:
    """Return the figures by name, in the order of their modules' names and, within one, of their definitions."""
    # Importing every module of the package registers its figures, so that no list of modules has to be maintained.
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return dict(sorted(_FIGURES.items(), key=lambda item: item[1].__module__))
