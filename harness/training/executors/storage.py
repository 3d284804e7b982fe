"""Storage that several machines reach: a folder of a shared file system, or any URL that fsspec opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from harness.errors import HarnessError
from harness.printable import message_of

__all__ = ["Storage", "StorageError"]


class StorageError(HarnessError):
    """A storage cannot be opened, written or read; the message is one line and begins with its place."""


class Storage:
    """Files below one place, by names such as "ppo/CartPole-v1_1/3.tar".

    place: path of a folder, or URL such as s3://bucket/folder or gs://bucket/folder, whose package (s3fs, gcsfs) and
        credentials every machine needs. Raises StorageError if it cannot be opened.
    """

    def __init__(self, place: str) -> None:
        # An absolute path: other machines have other working directories.
        self.place = place if "://" in place else str(Path(place).expanduser().absolute())
        with self._errors("cannot be opened"):
            import fsspec

            self._files, root = fsspec.core.url_to_fs(self.place)
        self._root = str(root).rstrip("/")

    def probe(self) -> str:
        """Write a small file and return its name; raises StorageError if it cannot be written and read."""
        name = f"probe-{uuid4().hex}"
        self.write(name, name.encode())
        if self.read(name) != name.encode():
            raise StorageError(f"{self.place}: a file that was written is read with other contents")
        return name

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        with self._errors("cannot be written"):
            self._make_parent(name)
            self._files.pipe_file(self._path(name), content)

    def read(self, name: str) -> bytes:
        """Return the contents of a file."""
        with self._errors("cannot be read"):
            return bytes(self._files.cat_file(self._path(name)))

    def upload(self, path: Path, name: str) -> None:
        """Copy a file of this machine into the storage."""
        with self._errors("cannot be written"):
            self._make_parent(name)
            self._files.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> None:
        """Copy a file of the storage to this machine."""
        with self._errors("cannot be read"):
            self._files.get_file(self._path(name), str(path))

    def names(self, folder: str) -> list[str]:
        """Return the names of all files directly in a folder; none if there is no such folder."""
        with self._errors("cannot be read"):
            self._files.invalidate_cache()  # another machine may have written since
            try:
                found = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return [f"{folder}/{str(path).rstrip('/').rpartition('/')[2]}" for path in found]

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with everything in it; what cannot be removed stays."""
        # Any exception: each kind of storage raises its own, and no result depends on this.
        with suppress(Exception):
            self._files.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_parent(self, name: str) -> None:
        self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    @contextmanager
    def _errors(self, problem: str) -> Iterator[None]:
        """Turn whatever the package of a storage raises into a StorageError."""
        try:
            yield
        except Exception as error:
            reason: Any = getattr(error, "strerror", None) or message_of(error)
            raise StorageError(f"{self.place}: {problem} ({type(error).__name__}: {reason})") from error
