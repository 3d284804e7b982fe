from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RECORD_NAME, iter_records, read_record, write_record, write_text_atomically
from tests.results_factory import failed, make_record, make_spec


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = replace(make_record(make_spec(), [1.5, math.inf]), versions={"torch": "2"}, cpu="a", git_commit="b")

    write_record(tmp_path / "run", record)

    assert read_record(tmp_path / "run") == record


def test_a_failed_record_keeps_its_error_and_its_unknown_training_time(tmp_path: Path) -> None:
    record = replace(failed(make_record(make_spec())), train_seconds=math.nan)

    write_record(tmp_path, record)
    read = read_record(tmp_path)

    assert read is not None
    assert math.isnan(read.train_seconds)
    assert math.isnan(read.score)
    assert replace(read, train_seconds=0.0) == replace(record, train_seconds=0.0)


@given(st.lists(st.floats(width=64), max_size=5))
def test_every_reward_is_stored_to_the_bit(rewards: list[float]) -> None:
    record = make_record(make_spec(), rewards)

    text = json.dumps(record.as_dict())
    read = type(record).from_dict(json.loads(text))

    assert repr(read.final_rewards) == repr(record.final_rewards)


@pytest.mark.parametrize(
    ("rewards", "score"),
    [([1.0, 2.0, 6.0], 3.0), ([], math.nan), ([1.0, math.nan], math.nan), ([math.inf, -math.inf], math.nan)],
)
def test_the_score_is_the_mean_of_the_final_episodes(rewards: list[float], score: float) -> None:
    assert make_record(make_spec(), rewards).score == pytest.approx(score, nan_ok=True)


def test_a_crash_before_the_rename_leaves_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")

    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="no space left on device"):
        write_text_atomically(path, "new")

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_the_file_never_holds_part_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    seen = []
    rename = Path.replace

    def watch(source: Path, target: Path) -> Path:
        seen.append((path.exists(), source.read_text()))
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", watch)
    write_text_atomically(path, "whole")

    assert seen == [(False, "whole")]
    assert path.read_text() == "whole"


def test_a_folder_without_a_record_has_no_run(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_truncated_record_is_an_error_with_a_remedy(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / RECORD_NAME
    path.write_text(content)

    with pytest.raises(RecordError) as error:
        read_record(tmp_path)

    assert str(error.value) == f"{path}: cannot be read ({problem}); move the folder away to run it again"


def test_a_record_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_bytes(b"\xff\xfe{}")

    with pytest.raises(RecordError, match=r"run\.json: cannot be read \('utf-8' codec can't decode byte 0xff"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", "KeyError: 'schema'"),
        ("[]", "TypeError: list indices must be integers or slices, not str"),
        ("null", "TypeError: 'NoneType' object is not subscriptable"),
        ('{"schema": 1}', "KeyError: 'spec'"),
    ],
)
def test_a_foreign_record_is_an_error(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / RECORD_NAME
    path.write_text(content)

    with pytest.raises(RecordError) as error:
        read_record(tmp_path)

    assert (
        str(error.value) == f"{path}: is not a record of this harness ({problem}); move the folder away to run it again"
    )


def test_a_record_of_another_schema_names_both_versions(tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    path.write_text('{"schema": 7}')

    with pytest.raises(RecordError) as error:
        read_record(tmp_path)

    assert str(error.value) == (
        f"{path}: has schema version 7, but this harness reads version 1; "
        "use `harness report` of the version that wrote it, or move the folder away"
    )


def test_records_below_a_folder_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1"):
        write_record(tmp_path / name, make_record(make_spec()))

    assert [str(path.relative_to(tmp_path)) for path, _ in iter_records(tmp_path)] == ["a", "b/1", "b/2"]


def test_the_digest_ignores_the_order_of_nested_hyperparameters() -> None:
    forward, backward = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}

    assert replace(make_spec(), hyperparams=forward).digest == replace(make_spec(), hyperparams=backward).digest


@pytest.mark.parametrize("name", [f.name for f in fields(RunSpec)])
def test_the_digest_changes_with_every_field_of_the_spec(name: str) -> None:
    spec = make_spec()
    value = getattr(spec, name)
    other = value + 1 if isinstance(value, int) else {"n_steps": 1} if isinstance(value, dict) else f"{value}2"

    assert replace(spec, **{name: other}).digest != spec.digest


def test_a_spec_read_from_disk_has_the_same_digest(tmp_path: Path) -> None:
    spec = replace(make_spec(), hyperparams={"policy_kwargs": {"net_arch": [64]}, "learning_rate": 3e-4})
    write_record(tmp_path, make_record(spec))
    read = read_record(tmp_path)

    assert read is not None
    assert read.spec.digest == spec.digest
