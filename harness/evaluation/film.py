"""Film of the best, the median and the worst seed of each algorithm side by side, as GIF or MP4.

Every image is a grid with a row per algorithm and a column per seed; an episode that has ended stays as a faded image.
Nothing here loads torch: images are drawn in worker processes, and read from their files.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from harness.errors import HarnessError
from harness.evaluation.settings import EvaluationSettings, Footage, RunEvaluation
from harness.evaluation.several_runs import map_in_workers

__all__ = ["Grid", "Panel", "chosen", "film_runs", "films_of", "save_film"]

MAX_FPS = 25.0
"""Images per second: GIF viewers slow down what is faster than 50, and 25 halves the file."""

MAX_SECONDS = 20.0
MAX_ROWS = 6
HOLD_SECONDS = 1.5
"""Time for which the last image stays before the film begins again."""

WIDTHS = {1: 480, 2: 360, 3: 300}
"""Width of one panel in pixels, by the number of columns."""

INK, GREY, PAPER, ACCENT = (32, 33, 36), (110, 114, 120), (255, 255, 255), (190, 60, 40)
MARGIN, CAPTION, STATUS, HEADER = 14, 44, 24, 36


@dataclass(frozen=True)
class Panel:
    """One episode in the grid."""

    run: RunEvaluation
    role: str
    """Place of the seed among the others: "best of 10 seeds"; empty if it is the only one."""

    footage: Footage


def chosen(runs: Sequence[RunEvaluation]) -> list[tuple[RunEvaluation, str]]:
    """Return the best, the median and the worst run by score, with their roles; all of them if there are two or one.

    Runs without a score are left out. Of two in the middle, the lower one is the median.
    """
    ranked = sorted((run for run in runs if not math.isnan(run.score)), key=lambda run: (-run.score, run.seed))
    n = len(ranked)
    if n < 2:
        return [(run, "") for run in ranked]
    if n == 2:
        return [(ranked[0], "better of 2 seeds"), (ranked[1], "worse of 2 seeds")]
    return [
        (ranked[0], f"best of {n} seeds"),
        (ranked[n // 2], f"median of {n} seeds"),
        (ranked[-1], f"worst of {n} seeds"),
    ]


def films_of(path: Path, envs: Sequence[str]) -> dict[str, Path]:
    """Return the file for each environment: the path itself, or with several environments NAME-ENV.gif.

    Raises HarnessError unless the suffix is .gif or .mp4 and the folder exists, or if a package for MP4 is missing.
    """
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise HarnessError(f"{path}: expected a file that ends in .gif or .mp4")
    if not path.parent.is_dir():
        raise HarnessError(f"{path}: the folder {path.parent} does not exist")
    if path.suffix.lower() == ".mp4" and not all(map(importlib.util.find_spec, ("imageio", "imageio_ffmpeg"))):
        raise HarnessError(
            f"{path}: MP4 needs imageio and imageio-ffmpeg; the extra [video] installs them, or write a .gif"
        )
    if len(envs) == 1:
        return {envs[0]: path}
    return {env: path.with_name(f"{path.stem}-{env.replace('/', '-').replace(':', '.')}{path.suffix}") for env in envs}


def film_runs(
    runs: Sequence[RunEvaluation], settings: EvaluationSettings, out: Path, n_workers: int
) -> dict[Path, list[HarnessError]]:
    """Write a film for each environment of the runs; return the files, each with the errors of episodes left out.

    Raises HarnessError if no episode of an environment can be drawn, or the file cannot be written.
    """
    envs = list(dict.fromkeys(run.env for run in runs))
    written: dict[Path, list[HarnessError]] = {}
    for env, path in films_of(out, envs).items():
        of_env = [run for run in runs if run.env == env]
        algos = list(dict.fromkeys(run.algo for run in of_env))[:MAX_ROWS]
        rows = [chosen([run for run in of_env if run.algo == algo]) for algo in algos]
        rows = [row for row in rows if row]
        if not rows:
            raise HarnessError(f"{env}: no run has a score, so that there is nothing to film")
        with tempfile.TemporaryDirectory(prefix="harness-film-") as folder:
            panels, errors = _recorded(rows, settings, Path(folder), n_workers)
            if not any(panels):
                raise errors[0]
            title = env if settings.env in (None, env) else f"{settings.env}, trained in {env}"
            save_film(Grid(panels, title), path)
        written[path] = errors
    return written


def _recorded(
    rows: Sequence[Sequence[tuple[RunEvaluation, str]]], settings: EvaluationSettings, folder: Path, n_workers: int
) -> tuple[list[list[Panel]], list[HarnessError]]:
    """Return the panels, rows without any left out, and the errors of those that could not be drawn."""
    cells = [(row, *cell) for row, of_row in enumerate(rows) for cell in of_row]
    width = WIDTHS[max(len(row) for row in rows)]
    calls = [
        (Path(run.path), settings, folder / f"{index}.npy", width, MAX_FPS, MAX_SECONDS)
        for index, (_, run, _) in enumerate(cells)
    ]
    results = dict(map_in_workers("harness.evaluation.footage:record_episode", calls, n_workers))
    panels: list[list[Panel]] = [[] for _ in rows]
    for index, (row, run, role) in enumerate(cells):
        footage = results[index]
        if isinstance(footage, Footage):
            panels[row].append(Panel(run, role, footage))
    errors = [results[index] for index in range(len(cells)) if isinstance(results[index], HarnessError)]
    return [row for row in panels if row], errors


class Grid:
    """Images of a film: panels with captions, a row per algorithm, until the longest episode has ended.

    rows: panels of equal size, from left to right. title: text above them.
    """

    def __init__(self, rows: Sequence[Sequence[Panel]], title: str) -> None:
        self.rows, self.title = rows, title
        # Mapped, not read: the images of all panels together may not fit into memory.
        self._films = [[np.load(panel.footage.file, mmap_mode="r") for panel in row] for row in rows]
        height, self._width = self._films[0][0].shape[1:3]
        self._row_height = height + CAPTION + STATUS + MARGIN
        size = MARGIN + max(map(len, rows)) * (self._width + MARGIN), HEADER + len(rows) * self._row_height
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2  # video codecs take even numbers only

    def __len__(self) -> int:
        return 1 + max(len(film) for row in self._films for film in row)  # in the last image all have ended

    def __iter__(self) -> Iterator[Image.Image]:
        return (self.image(time) for time in range(len(self)))

    @property
    def fps(self) -> float:
        """Images per second."""
        return self.rows[0][0].footage.fps

    def image(self, time: int) -> Image.Image:
        """Return the image with this index."""
        image = Image.new("RGB", self._size, PAPER)
        draw = ImageDraw.Draw(image)
        draw.text((MARGIN, 8), self.title, INK, _font(16, bold=True))
        for row, (panels, films) in enumerate(zip(self.rows, self._films, strict=True)):
            for column, (panel, film) in enumerate(zip(panels, films, strict=True)):
                corner = MARGIN + column * (self._width + MARGIN), HEADER + row * self._row_height
                _draw_panel(image, draw, corner, panel, film, time)
        return image


def _draw_panel(
    image: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], panel: Panel, film: Any, time: int
) -> None:
    left, top = corner
    height, width = film.shape[1:3]
    has_ended = time >= len(film)
    shown = Image.fromarray(np.asarray(film[min(time, len(film) - 1)]))
    if has_ended:
        shown = Image.blend(shown, Image.new("RGB", shown.size, PAPER), 0.6)
    image.paste(shown, (left, top + CAPTION))
    draw.rectangle((left, top + CAPTION, left + width - 1, top + CAPTION + height - 1), outline=(215, 217, 220))
    role = f"{panel.run.algo}, {panel.role}" if panel.role else panel.run.algo
    draw.text((left, top + 2), _fitting(role, width, 14, bold=True), INK, _font(14, bold=True))
    n = len(panel.run.rewards)
    score = f"seed {panel.run.seed}, score {_number(panel.run.score)}" + (f" (mean of {n} episodes)" if n > 1 else "")
    draw.text((left, top + 22), _fitting(score, width, 13), GREY, _font(13))
    footage = panel.footage
    if not has_ended:
        status, ink = f"step {time * footage.steps_per_image:,}, return {_number(footage.returns[time])}", GREY
    else:
        kind, ink = ("cut", GREY) if footage.is_cut else ("ended", ACCENT)
        status = f"{kind} after {footage.n_steps:,} steps, return {_number(footage.total)}"
    draw.text((left, top + CAPTION + height + 5), _fitting(status, width, 13), ink, _font(13))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.1f}"


def _fitting(text: str, width: int, size: int, *, bold: bool = False) -> str:
    """Return the text, cut with an ellipsis if it is wider than `width` pixels."""
    font = _font(size, bold=bold)
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    return text


@lru_cache(maxsize=8)
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    # Matplotlib brings this font, so that a film looks alike everywhere.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def save_film(grid: Grid, path: Path) -> None:
    """Write a film as GIF or MP4, by the suffix of the path; raise HarnessError if the file cannot be written."""
    try:
        if path.suffix.lower() == ".gif":
            _save_gif(grid, path)
        else:
            _save_mp4(grid, path)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror or error})") from error


def _save_gif(grid: Grid, path: Path) -> None:
    """Write a GIF with one palette for all images: a palette for each would make unchanged parts flicker."""
    palette = _palette([grid.image(index) for index in sorted({round(x) for x in np.linspace(0, len(grid) - 1, 8)})])
    images = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in grid)
    duration = max(20, round(100 / grid.fps) * 10)  # in ms; GIF counts hundredths of a second
    durations = [duration] * (len(grid) - 1) + [round(1000 * HOLD_SECONDS)]
    next(images).save(path, save_all=True, append_images=images, duration=durations, loop=0, optimize=False)


def _palette(samples: Sequence[Image.Image]) -> Image.Image:
    """Return an image with the 256 colours that represent those of the samples."""
    width, height = samples[0].size
    strip = Image.new("RGB", (width, height * len(samples)))
    for index, sample in enumerate(samples):
        strip.paste(sample, (0, index * height))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    colours = np.reshape(palette.getpalette() or [], (-1, 3))
    colours[(colours > 248).all(axis=1)] = 255  # an average of whites is grey beside the white of a page
    palette.putpalette(colours.ravel().tolist())
    return palette


def _save_mp4(grid: Grid, path: Path) -> None:
    import imageio.v2 as imageio

    writer: Any = imageio.get_writer(path, fps=grid.fps, codec="libx264", macro_block_size=2, quality=8)
    with writer:
        for image in grid:
            writer.append_data(np.asarray(image))
        for _ in range(round(HOLD_SECONDS * grid.fps)):
            writer.append_data(np.asarray(image))
