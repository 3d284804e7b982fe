"""Pack the folder of a run into one file, bring it into another folder, and never show a half-copied run there."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.experiment.run_folder import CHECKPOINT_NAME, prepare_folder
from harness.experiment.run_records import RECORD_NAME, write_text_atomically

__all__ = ["DamagedParcelError", "Parcel", "check_parcel", "pack", "publish", "unpack"]


class DamagedParcelError(Exception):
    """A file is not the parcel that it should be: its copy is not complete."""


@dataclass(frozen=True)
class Parcel:
    """Description of a packed folder in a storage."""

    name: str
    """Name of the file in the storage."""

    size: int
    """Bytes of the file."""

    digest: str
    """SHA-256 of the file."""

    steps: int = 0
    """Steps of the checkpoint that it holds, if it holds one."""

    nodes: tuple[str, ...] = ()
    """Names of the machines that have executed the run until then."""

    def as_text(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | bytes) -> Parcel:
        """Return the description that `as_text` wrote; raise ValueError, TypeError or KeyError for anything else."""
        data = json.loads(text)
        parcel = cls(**{**data, "nodes": tuple(data["nodes"])})
        if not isinstance(parcel.name, str) or not isinstance(parcel.steps, int):
            raise TypeError("no description of a parcel")
        return parcel


def pack(run_path: Path, target: Path, without: Collection[str] = ()) -> tuple[int, str]:
    """Write the files of a run's folder into one file; return its size in bytes and its SHA-256.

    The run may go on meanwhile: its checkpoint is read first, so that no other file is older than that. Links and
    temporary files are left out.
    without: names of files that are left out. Raises OSError.
    """
    with tarfile.open(target, "w") as archive:
        for path in _files(run_path):
            name = path.relative_to(run_path).as_posix()
            if name in without:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # the run has just removed or renamed it
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.stat().st_size, _digest(target)


def _files(run_path: Path) -> Iterator[Path]:
    checkpoint = run_path / CHECKPOINT_NAME
    if checkpoint.exists():
        yield checkpoint
    for path in sorted(run_path.rglob("*")):
        # A temporary file, which the run is about to rename, would stay for ever in the folder that continues.
        is_temporary = path.name.startswith(".") and path.suffix == ".tmp"
        if path != checkpoint and path.is_file() and not path.is_symlink() and not is_temporary:
            yield path


def check_parcel(archive: Path, parcel: Parcel) -> None:
    """Raise DamagedParcelError if a file is not the whole parcel."""
    if archive.stat().st_size != parcel.size or _digest(archive) != parcel.digest:
        raise DamagedParcelError(f"{parcel.name} is not complete")


def unpack(archive: Path, run_path: Path, without: Collection[str] = ()) -> None:
    """Write the files of a parcel into a folder; raise OSError or DamagedParcelError.

    without: names of files that are left out.
    """
    run_path.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as content:
            members = [member for member in content.getmembers() if member.name not in without]
            content.extractall(run_path, members, filter="data")  # refuses paths that lead out of the folder
    except tarfile.TarError as error:
        raise DamagedParcelError(f"{archive}: {error}") from error


def publish(archive: Path, run_path: Path) -> None:
    """Write a parcel into the folder of a run, its record last: a run exists only once its record does.

    Records of failed attempts stay; everything else that was there is removed. Raises OSError or DamagedParcelError.
    """
    run_path.mkdir(parents=True, exist_ok=True)
    prepare_folder(run_path, keep_checkpoint=False)
    unpack(archive, run_path, without=[RECORD_NAME])
    with tarfile.open(archive) as content:
        file = content.extractfile(RECORD_NAME)
        assert file is not None, "a run that has ended has its record"
        write_text_atomically(run_path / RECORD_NAME, file.read().decode())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
