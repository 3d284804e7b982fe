from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import RecordError
from harness.evaluation.footage import record_episode
from harness.evaluation.settings import EvaluationSettings
from tests.harness.evaluation.stored import trained_run
from tests.harness.toy_subjects import FAULTY_ENV, FaultyEnv


def test_the_film_shows_an_episode_of_the_final_evaluation(tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path)

    footage = record_episode(folder, EvaluationSettings(), tmp_path / "a.npy", 120, 25.0, 20.0)

    images = np.load(tmp_path / "a.npy")
    assert (images.dtype, images.shape[1:]) == (np.uint8, (80, 120, 3))  # CartPole draws 600 x 400
    assert footage.total in record.final_rewards
    assert footage.n_steps == footage.total, "CartPole pays 1 for each step"
    assert (footage.fps, footage.steps_per_image) == (25.0, 2)  # half of CartPole's 50 images per second
    assert footage.returns == tuple(np.arange(0.0, footage.n_steps, 2))
    assert len(images) == len(footage.returns)
    assert not footage.is_cut
    assert len(np.unique(images[0])) > 5, "a drawing, not an empty image"


def test_a_long_episode_is_cut(tmp_path: Path) -> None:
    folder, _, _ = trained_run(tmp_path)

    footage = record_episode(folder, EvaluationSettings(), tmp_path / "a.npy", 60, 50.0, 0.1)

    assert (footage.is_cut, footage.n_steps, footage.total) == (True, 5, 5.0)


def message(folder: Path, tmp_path: Path) -> str:
    settings = EvaluationSettings(trusted=("tests",))
    with pytest.raises(RecordError) as error:
        record_episode(folder, settings, tmp_path / "a.npy", 60, 25.0, 1.0)
    return str(error.value)


def test_an_environment_that_draws_no_images_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _, _ = trained_run(tmp_path, env=FAULTY_ENV)
    monkeypatch.setattr(FaultyEnv, "metadata", {"render_modes": ["human"]})

    assert message(folder, tmp_path) == (
        f"{FAULTY_ENV} cannot be filmed: it has no render mode rgb_array (it offers human)"
    )


def test_an_environment_that_fails_to_draw_is_one_line(tmp_path: Path) -> None:
    folder, _, _ = trained_run(tmp_path, env=FAULTY_ENV)

    found = message(folder, tmp_path)

    assert found.startswith(f"{FAULTY_ENV} cannot be filmed: TypeError: ")
    assert "\n" not in found
