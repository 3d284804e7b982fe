from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.training.executors.storage import Storage, StorageError


def places(tmp_path: Path) -> list[str]:
    return [str(tmp_path / "shared"), f"file://{tmp_path}/as url", f"memory://{tmp_path.name}"]


@pytest.mark.parametrize("index", range(3))
def test_a_file_is_read_as_it_was_written(tmp_path: Path, index: int) -> None:
    storage = Storage(places(tmp_path)[index])
    (tmp_path / "sent").write_bytes(b"\0one")

    storage.upload(tmp_path / "sent", "ppo/run_1/a.tar")
    storage.write("ppo/run_1/b.json", b"two")
    storage.download("ppo/run_1/a.tar", tmp_path / "received")

    assert (tmp_path / "received").read_bytes() == b"\0one"
    assert storage.read("ppo/run_1/b.json") == b"two"
    assert sorted(storage.names("ppo/run_1")) == ["ppo/run_1/a.tar", "ppo/run_1/b.json"]
    storage.remove("ppo/run_1")
    assert storage.names("ppo/run_1") == []
    storage.remove("ppo/run_1")


def test_a_path_is_absolute_for_machines_with_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Storage("shared").place == str(tmp_path / "shared")


def test_a_probe_is_written_and_read(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    name = storage.probe()

    assert (tmp_path / name).read_text() == name


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes everywhere")
def test_a_read_only_folder_is_told_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StorageError, match=rf"^{tmp_path}/shared: cannot be written \(PermissionError: .*\)$"):
        Storage(str(tmp_path / "shared")).probe()


def test_a_file_in_the_place_of_the_folder_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("")

    with pytest.raises(StorageError) as error:
        Storage(str(tmp_path / "shared")).probe()

    assert str(error.value).startswith(f"{tmp_path}/shared: cannot be written (")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("moon://base/folder", "ValueError: Protocol not known: moon"),
        ("s3://bucket/folder", "ImportError: Install s3fs to access S3"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_told_in_one_line(place: str, problem: str) -> None:
    with pytest.raises(StorageError) as error:
        Storage(place)

    assert str(error.value) == f"{place}: cannot be opened ({problem})"
