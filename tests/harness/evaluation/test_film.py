from __future__ import annotations

import importlib.util
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from harness.errors import HarnessError
from harness.evaluation.command import run_watch
from harness.evaluation.film import Grid, Panel, chosen, films_of, save_film
from harness.evaluation.settings import EvaluationSettings, Footage
from tests.harness.evaluation.stored import trained_run
from tests.harness.evaluation.test_several_runs import evaluation

RED = (200, 10, 10)


def panel(folder: Path, n_images: int, *, is_cut: bool = False) -> Panel:
    """Return a panel whose images are red, with 2 steps and a return of 3 for each image."""
    file = folder / f"{n_images}.npy"
    np.save(file, np.full((n_images, 20, 300, 3), RED, np.uint8))
    returns = tuple(3.0 * i for i in range(n_images))
    footage = Footage(str(file), 25.0, 2, returns, 3.0 * n_images, 2 * n_images, is_cut)
    return Panel(evaluation(0, 1.0, 5.0), "best of 3 seeds", footage)


def test_best_median_and_worst_are_chosen_by_score() -> None:
    runs = [evaluation(seed, score) for seed, score in enumerate([5.0, 9.0, 1.0, 7.0, 3.0])]

    found = chosen([*runs, evaluation(9, error="failed")])

    assert [(run.seed, role) for run, role in found] == [
        (1, "best of 5 seeds"),
        (0, "median of 5 seeds"),
        (2, "worst of 5 seeds"),
    ]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([4.0], [(0, "")]),
        ([4.0, 6.0], [(1, "better of 2 seeds"), (0, "worse of 2 seeds")]),
        ([1.0, 2.0, 3.0, 4.0], [(3, "best of 4 seeds"), (1, "median of 4 seeds"), (0, "worst of 4 seeds")]),
    ],
)
def test_few_seeds_are_all_shown(scores: list[float], expected: list[tuple[int, str]]) -> None:
    found = chosen([evaluation(seed, score) for seed, score in enumerate(scores)])

    assert [(run.seed, role) for run, role in found] == expected


def test_every_image_shows_the_panels_and_ended_ones_are_faded(tmp_path: Path) -> None:
    grid = Grid([[panel(tmp_path, 2), panel(tmp_path, 4)]], "A-v0")

    images = list(grid)

    assert len(images) == len(grid) == 5
    assert all(size % 2 == 0 for size in images[0].size)
    middle = [(160, 90), (475, 90)]  # within the first and the second panel
    seen = [[image.getpixel(place) for place in middle] for image in images]
    assert seen[:2] == [[RED, RED]] * 2
    assert seen[2] == seen[3]
    assert seen[2][1] == RED
    assert seen[2][0] != RED
    assert seen[4][0] == seen[4][1] == seen[2][0]


def test_captions_of_running_and_ended_episodes_differ(tmp_path: Path) -> None:
    ended, cut = (Grid([[panel(tmp_path, 2, is_cut=is_cut)]], "A-v0") for is_cut in (False, True))

    status = (14, 36 + 44 + 20, 314, 36 + 44 + 20 + 24)
    texts = [grid.image(time).crop(status).tobytes() for grid, time in ((ended, 0), (ended, 1), (ended, 2), (cut, 2))]

    assert len(set(texts)) == 4


def test_a_gif_has_every_image_at_its_time_and_rests_at_the_end(tmp_path: Path) -> None:
    grid = Grid([[panel(tmp_path, 3)]], "A-v0")

    save_film(grid, tmp_path / "film.gif")

    with Image.open(tmp_path / "film.gif") as film:
        durations = []
        for index in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(index)
            durations.append(film.info["duration"])
        assert durations == [40, 40, 40, 1500]
        assert film.info.get("loop", 0) == 0
        film.seek(0)
        assert film.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert film.convert("RGB").getpixel((160, 90)) == pytest.approx(RED, abs=3)


def test_an_mp4_is_written_where_imageio_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")

    save_film(Grid([[panel(tmp_path, 3)]], "A-v0"), tmp_path / "film.mp4")

    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_missing_package_for_mp4_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio" else find(name))

    with pytest.raises(HarnessError, match=r"MP4 needs imageio and imageio-ffmpeg; the extra \[video\] installs them"):
        films_of(tmp_path / "a.mp4", ["A-v0"])


def test_a_file_name_must_be_that_of_a_film_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"a\.avi: expected a file that ends in \.gif or \.mp4"):
        films_of(tmp_path / "a.avi", ["A-v0"])
    with pytest.raises(HarnessError, match=r"nowhere does not exist"):
        films_of(tmp_path / "nowhere" / "a.gif", ["A-v0"])


def test_several_environments_have_a_film_each(tmp_path: Path) -> None:
    assert films_of(tmp_path / "a.gif", ["A-v0", "x.y:ALE/B-v0"]) == {
        "A-v0": tmp_path / "a-A-v0.gif",
        "x.y:ALE/B-v0": tmp_path / "a-x.y.ALE-B-v0.gif",
    }


def test_stored_runs_are_filmed_and_those_that_cannot_be_are_named(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        folder, _, spec = trained_run(tmp_path, seed=seed)
    (folder / f"{spec.env}.zip").unlink()
    console = Console(file=io.StringIO(), width=200)

    run_watch(console, [tmp_path], EvaluationSettings(), None, 2)

    file = console.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue().splitlines()
    assert lines[0].endswith("CartPole-v1.zip: does not exist; the model was removed, or never saved")
    assert lines[1].startswith(f"film {tmp_path}/watch.gif (")
    with Image.open(tmp_path / "watch.gif") as film:
        assert film.n_frames > 3  # type: ignore[attr-defined]


def test_a_folder_without_finished_runs_cannot_be_filmed(tmp_path: Path) -> None:
    folder, _, _ = trained_run(tmp_path)
    (folder / "run.json").unlink()

    with pytest.raises(HarnessError, match=r"holds no finished run of the harness; for folders of other programs use"):
        run_watch(Console(quiet=True), [folder], EvaluationSettings(), None, 1)


def test_a_run_without_a_role_is_named_by_its_algorithm(tmp_path: Path) -> None:
    alone = replace(panel(tmp_path, 1), role="")

    assert Grid([[alone]], "A-v0").image(0).tobytes() != Grid([[panel(tmp_path, 1)]], "A-v0").image(0).tobytes()
