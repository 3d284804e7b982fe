"""Registry of the figures of a report: every function decorated with `report_figure`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec

from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.style import themed

__all__ = ["registered_figures", "report_figure"]

P = ParamSpec("P")

_FIGURES: dict[str, Callable[..., Figure]] = {}


def report_figure(draw: Callable[Concatenate[Results, P], Figure]) -> Callable[Concatenate[Results, P], Figure]:
    """Draw the decorated figure in the theme, and make it part of every report under the function's name.

    Its keywords are settings of `save_all`, which passes those that the function has.
    """
    in_theme = themed()(draw)
    _FIGURES[in_theme.__name__] = in_theme
    return in_theme


def registered_figures() -> Mapping[str, Callable[..., Figure]]:
    """Return the figures by name, in the order of their modules' names and, within one, of their definitions."""
    # Importing every module of the package registers its figures, so that no list of modules has to be maintained.
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    return dict(sorted(_FIGURES.items(), key=lambda item: item[1].__module__))
