from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.experiment.run_records import fingerprints, write_record
from harness.experiment.survey import find_damaged, survey
from tests.results_factory import failed, make_record, make_spec


def test_missing_runs_come_before_failed_ones(tmp_path: Path) -> None:
    first, second, third = specs = [make_spec(seed=seed) for seed in range(3)]
    write_record(tmp_path / first.run_dir, failed(make_record(first)))
    write_record(tmp_path / second.run_dir, make_record(second))

    state = survey(specs, tmp_path)

    assert (state.finished, state.failed, state.missing) == ((second,), (first,), (third,))
    assert state.to_run == (third, first)


def test_a_failed_run_with_other_settings_is_run_again(tmp_path: Path) -> None:
    spec, other = make_spec(), make_spec(n_timesteps=512)
    write_record(tmp_path / spec.run_dir, failed(make_record(other)))

    assert survey([spec], tmp_path).to_run == (spec,)


@pytest.mark.parametrize("name", ["evaluations.npz", "best_model.zip"])
def test_a_file_of_the_same_size_with_other_bytes_is_damaged(tmp_path: Path, name: str) -> None:
    spec = make_spec()
    path = tmp_path / spec.run_dir
    path.mkdir(parents=True)
    (path / name).write_bytes(b"results")
    write_record(path, replace(make_record(spec), files=fingerprints(path)))
    assert find_damaged([spec], tmp_path) == []

    (path / name).write_bytes(b"resultz")

    assert [found.reason for found in find_damaged([spec], tmp_path)] == [f"{path / name}: its contents have changed"]
