from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.bench.peer_speeds import PeerSpeed
from harness.bench.records import BenchRecord, check_writable, read_record, write_record
from harness.errors import HarnessError, RecordError
from tests.harness.bench.speeds import measured


def test_a_file_holds_machine_times_and_mean(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    peer = PeerSpeed("cartpole-zoo", "SBX", "0.28", (1.5,))

    write_record(path, BenchRecord({"cpu": "a processor"}, "auto", [measured(ratio=2.0)], [peer]))

    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["machine"] == {"cpu": "a processor"}
    assert data["geometric_mean"]["value"] == pytest.approx(2.0)
    assert data["configurations"][0]["ours"] == [1.0, 1.0, 2.0]
    assert data["peers"][0]["ratios"] == [1.5]
    assert read_record(path) == BenchRecord({"cpu": "a processor"}, "auto", [measured(ratio=2.0)], [peer])


def test_a_result_without_times_is_written_and_read_too(tmp_path: Path) -> None:
    speed = measured(ours=(), theirs=(), parts={}, floor=None, problem="needs Box2D")

    write_record(tmp_path / "speed.json", BenchRecord({}, "auto", [speed]))

    assert read_record(tmp_path / "speed.json").speeds == [speed]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"configurations": [{}]}', '{"configurations": 3}'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(RecordError, match=r"other\.json: expected a file of `harness bench --json`$"):
        read_record(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.json: cannot be read: No such file or directory"):
        read_record(tmp_path / "none.json")


def test_a_path_that_cannot_be_written_is_refused_before_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"the folder .*none does not exist"):
        check_writable(tmp_path / "none" / "speed.json")
    with pytest.raises(HarnessError, match="is a folder, expected the name of a file"):
        check_writable(tmp_path)
    check_writable(None)
