"""Further logs of a run: complete, without duplicates after an interruption, and unable to harm the run."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.experiment.run_records import RunRecord, fingerprints
from harness.training import trackers
from harness.training.control import Control
from harness.training.job import execute
from tests.harness.toy_subjects import tiny_spec

SPEC = replace(tiny_spec("custom_ppo", n_timesteps=1024), eval_freq=192)
Row = tuple[int, dict[str, float]]


class FakeWandb:
    """Stand-in for the package: keeps what it is told, draws random numbers, and fails when asked to."""

    def __init__(self, fails_in: str = "") -> None:
        self.fails_in = fails_in
        self.settings: list[dict[str, Any]] = []
        self.rows: list[Row] = []
        self.n_finished = 0

    def Settings(self, **settings: Any) -> Any:  # noqa: N802
        return settings

    def init(self, **settings: Any) -> Any:
        self._act("init")
        self.settings.append(settings)
        self.rows = []
        return SimpleNamespace(id="abc", log=self.log, finish=self.finish)

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._act("log")
        self.rows.append((step, numbers))

    def finish(self) -> None:
        self._act("finish")
        self.n_finished += 1

    def _act(self, where: str) -> None:
        np.random.random()  # noqa: NPY002
        if self.fails_in == where:
            raise SystemExit("no\nlogin")


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeWandb) -> FakeWandb:
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    monkeypatch.setenv("WANDB_MODE", "offline")
    return fake


def run(folder: Path, *logging: str, **settings: Any) -> RunRecord | None:
    return execute(SPEC, folder, Control(logging=logging, **settings))


def finished(folder: Path, *logging: str) -> RunRecord:
    record = run(folder, *logging)
    assert record is not None
    assert record.status == "finished"
    return record


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Return every number in TensorBoard's files, in the order in which it was written."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    tensor_util = pytest.importorskip("tensorboard.util.tensor_util")
    return [
        (value.tag, event.step, float(tensor_util.make_ndarray(value.tensor)))
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        for event in loader.EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if not value.tag.startswith("time/")
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return finished(tmp_path_factory.mktemp("plain"))


def test_a_run_with_logs_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: RunRecord
) -> None:
    fake = use(monkeypatch, FakeWandb())

    record = finished(tmp_path / "mine" / "runs" / "a" / "b", "tensorboard", "wandb")

    assert (record.parameters_digest, record.final_rewards) == (plain.parameters_digest, plain.final_rewards)
    assert record.files.keys() == plain.files.keys(), "logs of other programs are no results"
    assert record.troubles == ()
    assert "troubles" not in record.as_dict()
    assert (fake.settings[0]["project"], fake.settings[0]["name"]) == ("mine", "custom_ppo CartPole-v1 seed 0")
    assert fake.n_finished == 1


def test_tensorboard_gets_the_values_of_the_evaluations(tmp_path: Path) -> None:
    finished(tmp_path, "tensorboard")

    with np.load(tmp_path / "evaluations.npz") as data:
        expected = list(zip(data["timesteps"], data["results"].mean(axis=1).astype(np.float32), strict=True))
    found = scalars(tmp_path / "tensorboard")
    assert [(step, value) for tag, step, value in found if tag == "eval/mean_reward"] == expected
    assert {"train/value_loss", "rollout/ep_rew_mean", "update/kl"} <= {tag for tag, _, _ in found}


def test_logs_go_on_after_a_checkpoint_without_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeWandb())
    logging = ("tensorboard", "wandb")
    whole, parts = tmp_path / "a" / "whole", tmp_path / "a" / "parts"
    finished(whole, *logging)
    expected = timeless(fake.rows)

    assert run(parts, *logging, checkpoint_seconds=0.0, stop_requested=True) is None
    # Of a process that logged more, was killed, and left no later checkpoint.
    (log,) = (parts / "tensorboard").iterdir()
    log.write_bytes(log.read_bytes() + b"half a record")
    (parts / "tensorboard" / "events.out.tfevents.later").write_bytes(log.read_bytes())
    record = finished(parts, *logging)

    assert len(record.resumed_at) == 1
    assert timeless(fake.rows) == expected
    assert fake.settings[-1]["id"] == "abc"
    assert sorted(scalars(parts / "tensorboard")) == sorted(scalars(whole / "tensorboard"))


def timeless(rows: list[Row]) -> list[Row]:
    return [(step, {key: value for key, value in row.items() if not key.startswith("time/")}) for step, row in rows]


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_program_that_fails_costs_its_log_only(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: RunRecord, capfd: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, FakeWandb(where))

    record = finished(tmp_path / "a" / "b", "wandb")

    assert record.parameters_digest == plain.parameters_digest
    assert len(record.troubles) == 1
    assert record.troubles[0].startswith("wandb: SystemExit: ")
    assert capfd.readouterr().err.count("wandb: the log ends here, and the run goes on: SystemExit") == 1
    assert RunRecord.from_dict(record.as_dict()).troubles == record.troubles


def test_a_server_that_does_not_answer_costs_a_limited_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeWandb())
    monkeypatch.setattr(trackers, "FINISH_SECONDS", 0.1)
    event = threading.Event()
    fake.finish = event.wait  # type: ignore[assignment,method-assign]

    (tracker,) = trackers.open_trackers(("wandb",), SPEC, tmp_path / "a" / "b")
    tracker.close()

    event.set()
    assert "wandb has not finished after" in tracker.trouble


def test_weights_and_biases_itself_writes_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    folder = tmp_path / "mine" / "runs" / "a" / "b"
    folder.mkdir(parents=True)

    (tracker,) = trackers.open_trackers(("wandb",), SPEC, folder)
    tracker.write({"a": np.float32(0.5), "b": "text"}, {"a": (), "b": ()}, 64)
    state = tracker.state()
    tracker.close()

    assert tracker.trouble == ""
    assert state["rows"] == [(64, {"a": 0.5})]
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert fingerprints(folder) == {}
