from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.experiment.run_folder import CHECKPOINT_NAME
from harness.experiment.run_records import RECORD_NAME, read_record, write_record
from harness.training.executors import parcels
from harness.training.executors.parcels import DamagedParcelError, Parcel, check_parcel, pack, publish, unpack
from tests.harness.toy_subjects import tiny_spec
from tests.results_factory import make_record


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """Return the folder of a run that has ended."""
    path = tmp_path / "node" / "ppo" / "CartPole-v1_1"
    (path / "CartPole-v1").mkdir(parents=True)
    (path / "CartPole-v1" / "config.yml").write_text("a: 1\n")
    (path / "0.monitor.csv").write_bytes(b"r,l,t\n")
    write_record(path, make_record(tiny_spec()))
    return path


def packed(run_path: Path, target: Path) -> Parcel:
    return Parcel("name", *pack(run_path, target))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_published_run_has_all_files_and_keeps_only_failed_records(run_path: Path, tmp_path: Path) -> None:
    place = tmp_path / "results" / "run"
    place.mkdir(parents=True)
    for name in ("failed-1.json", "old.csv", RECORD_NAME):
        (place / name).write_text("old")
    packed(run_path, tmp_path / "parcel")

    publish(tmp_path / "parcel", place)

    kept = {"failed-1.json": b"old", "failed-2.json": b"old"}
    assert contents(place) == {**contents(run_path), **kept}
    assert read_record(place) == read_record(run_path)


def test_a_run_that_is_copied_by_half_does_not_exist(
    run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "results" / "run"
    packed(run_path, tmp_path / "parcel")

    def unpack_and_fail(archive: Path, folder: Path, without: list[str]) -> None:
        unpack(archive, folder, without)
        raise OSError("no space left")

    monkeypatch.setattr(parcels, "unpack", unpack_and_fail)
    with pytest.raises(OSError, match="no space left"):
        publish(tmp_path / "parcel", place)

    assert (place / "0.monitor.csv").exists()
    assert read_record(place) is None


@pytest.mark.parametrize("change", ["one byte", "truncated"])
def test_a_parcel_that_is_not_complete_is_noticed(change: str, run_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "parcel"
    parcel = packed(run_path, path)
    check_parcel(path, parcel)
    content = bytearray(path.read_bytes())
    if change == "truncated":
        del content[-1]
    else:
        content[600] ^= 1
    path.write_bytes(content)

    with pytest.raises(DamagedParcelError):
        check_parcel(path, parcel)


def test_links_and_temporary_files_of_a_run_that_goes_on_are_left_out(run_path: Path, tmp_path: Path) -> None:
    complete = contents(run_path)
    (run_path / "link").symlink_to(tmp_path)
    (run_path / ".run.json.7454.tmp").write_text("{")
    packed(run_path, tmp_path / "parcel")

    unpack(tmp_path / "parcel", tmp_path / "here")

    assert contents(tmp_path / "here") == complete


def test_paths_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "hostile", "w") as archive:
        entry = tarfile.TarInfo("../outside")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(DamagedParcelError):
        unpack(tmp_path / "hostile", tmp_path / "here")
    assert not (tmp_path / "outside").exists()


def test_the_checkpoint_is_the_first_file_so_that_no_other_is_older(run_path: Path, tmp_path: Path) -> None:
    (run_path / CHECKPOINT_NAME).write_bytes(b"state")
    packed(run_path, tmp_path / "parcel")

    with tarfile.open(tmp_path / "parcel") as archive:
        assert archive.getnames()[0] == CHECKPOINT_NAME


def test_a_description_is_read_as_it_was_written() -> None:
    parcel = Parcel("ppo/1.tar", 10, "ab", steps=128, nodes=("a", "b"))

    assert Parcel.from_text(parcel.as_text()) == parcel
    for damaged in (parcel.as_text()[:-3], "[]", replace(parcel, name=3).as_text()):  # type: ignore[arg-type]
        with pytest.raises((ValueError, TypeError, KeyError)):
            Parcel.from_text(damaged)
