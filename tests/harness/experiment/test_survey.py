from __future__ import annotations

from pathlib import Path

from harness.experiment.run_records import write_record
from harness.experiment.survey import survey
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
