"""All figures of a report, written to one folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from harness.analysis.frames import Results
from harness.analysis.plots.excerpts import excerpts
from harness.analysis.plots.registry import pages_of, registered_figures
from harness.analysis.plots.style import save_figure

__all__ = ["DrawnFigure", "draw", "draw_all", "save_all"]

CAPTIONS_NAME = "captions.md"


@dataclass(frozen=True)
class DrawnFigure:
    """A figure on disk, or one page of it."""

    name: str
    """Name of its function."""
    page: int
    """Number of the page, from 1."""
    title: str
    caption: str
    """Sentences that say how to read it."""
    paths: tuple[Path, ...]
    """Files: SVG, PNG, and PDF if it was asked for."""
    width: int
    height: int
    """Size in CSS pixels, 96 of which are an inch."""

    @property
    def svg(self) -> Path:
        """File in which the figure is drawn with lines."""
        return self.paths[0]

    @property
    def png(self) -> Path:
        """File in which the figure is drawn with pixels."""
        return self.paths[1]


def draw(function: Callable[..., Figure], results: Results, **settings: Any) -> Figure:
    """Return the figure of a registered function, which gets those of the settings that it takes."""
    keywords = inspect.signature(function).parameters
    return function(results, **{key: value for key, value in settings.items() if key in keywords})


def draw_all(results: Results, out_dir: Path, *, pdf: bool = False, **settings: Any) -> list[DrawnFigure]:
    """Write every registered figure as NAME.svg and NAME.png, and as NAME.pdf if `pdf`, and return what was drawn.

    NAME is that of the figure's function; a further page of a figure of many environments is NAME_2, NAME_3, ...
    captions.md has the title and caption of every figure. settings: see `save_all`.
    A figure without any data is left out.
    The same results and settings give the same bytes. Raises OSError if the folder cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, function in registered_figures().items():
        for excerpt in excerpts(results, pages_of(name)):
            figure = draw(function, excerpt.results, **settings)
            if any(axes.has_data() for axes in figure.axes):
                figure.set_label(" ".join(part for part in (str(figure.get_label()), excerpt.left_out) if part))
                drawn.append(save_drawn(figure, name, excerpt.page, out_dir, pdf=pdf))
    write_captions(drawn, out_dir)
    return drawn


def write_captions(drawn: Sequence[DrawnFigure], out_dir: Path) -> None:
    """Write captions.md: title and caption of every figure, a paragraph each. Raises OSError."""
    text = "\n\n".join(f"**{one.paths[0].stem}**: {one.title}. {one.caption}" for one in drawn)
    (out_dir / CAPTIONS_NAME).write_text(text + "\n", encoding="utf-8")


def save_drawn(figure: Figure, name: str, page: int, out_dir: Path, *, pdf: bool) -> DrawnFigure:
    """Write one page of a figure as SVG, PNG and, if asked for, PDF, and return it with its title and caption."""
    paths = save_figure(figure, out_dir / (name if page == 1 else f"{name}_{page}"), pdf=pdf)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    title = " ".join(figure.get_suptitle().split())
    return DrawnFigure(name, page, title, str(figure.get_label()), tuple(paths), width, height)


def save_all(
    results: Results,
    out_dir: Path,
    *,
    window: int = 100,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    bootstrap_seed: int = 0,
    simultaneous: bool = True,
    pdf: bool = False,
) -> list[Path]:
    """Write the figures that need nothing but results, as `draw_all`, and return the paths of all of them.

    window: training episodes of the rolling mean and variance. confidence, n_resamples, bootstrap_seed: settings of
    the bands and intervals. simultaneous: bands of learning curves contain whole curves; otherwise they are pointwise.
    """
    drawn = draw_all(
        results,
        out_dir,
        pdf=pdf,
        window=window,
        confidence=confidence,
        n_resamples=n_resamples,
        bootstrap_seed=bootstrap_seed,
        simultaneous=simultaneous,
    )
    return [path for one in drawn for path in one.paths]
