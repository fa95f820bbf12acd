"""A storage in a local directory: temp file, fsync, exclusive publish, fsync of the directory.

A crash at any point leaves the object whole or absent, and at most a temp file for `cleanup`.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from covetbackup.core.errors import (
    BadSetting,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    Truncated,
    UploadLost,
)
from covetbackup.core.storage.base import MARKER, ObjectInfo, check_name
from covetbackup.core.storage.local_tree import (
    TEMP_PREFIX,
    make_directory,
    open_directory,
    prune,
    translate_delete_errors,
    translate_errors,
    walk,
    walk_temporary,
)
from covetbackup.core.stream import disk
from covetbackup.core.stream.base import Sink

_PIECE_BYTES = 256 * 1024
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a planted fifo would otherwise wait for ever.
_EXISTING_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalStorage:
    """A storage of files below `root` (which may itself be a link; nothing below it may).

    Files are mode 0600, directories 0700. Publishing never overwrites: it is a hard link, or, on
    a file system without them, a look and a rename under a lock on the directory, which
    holds against processes of the same host only. What else a file system may lack: see `disk`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str) -> Sink:
        *parts, last = check_name(name).split("/")
        if name == MARKER:
            with translate_errors(self._root):
                os.makedirs(self._root, 0o700, exist_ok=True)
        else:
            self._require_marker(name)
        with translate_errors(self._root, name):
            return _Upload(self._root, parts, last)

    @contextmanager
    def open(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        descriptor = self._open_object(name)
        try:
            yield self._pieces(descriptor, name, offset, length)
        finally:
            os.close(descriptor)

    def stat(self, name: str) -> ObjectInfo:
        descriptor = self._open_object(name)
        try:
            return _info(name, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with translate_errors(self._root):
            for name, state in walk(self._root, prefix):
                yield _info(name, state)

    def delete(self, name: str) -> None:
        *parts, last = check_name(name).split("/")
        with suppress(ObjectNotFound), translate_delete_errors(self._root, name):
            with open_directory(self._root, parts) as descriptor:
                os.unlink(last, dir_fd=descriptor)
                disk.sync(descriptor)
            prune(self._root, parts)

    def cleanup(self, before: datetime, prefix: str = "") -> Sequence[str]:
        removed = []
        with translate_delete_errors(self._root):
            for parts, name, state in walk_temporary(self._root):
                final = "/".join([*parts, _final_name(name)])
                if state.st_mtime >= before.timestamp() or not final.startswith(prefix):
                    continue
                with open_directory(self._root, parts) as descriptor, suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=descriptor)
                removed.append(final)
                prune(self._root, parts)
        return sorted(removed)

    def shortcomings(self) -> Sequence[str]:
        """Return what the folder's file system cannot do, one sentence each.

        Raises `StorageError`.
        """
        with translate_errors(self._root):
            return disk.shortcomings(self._root)

    def _require_marker(self, name: str) -> None:
        # Asked each time: a disk can be unmounted while the process lives.
        try:
            self.stat(MARKER)
        except ObjectNotFound as error:
            raise BadSetting(
                f"{name} is not written: {self._root} has no {MARKER}",
                hint="is the disk mounted? a new place must be initialised first",
            ) from error

    def _open_object(self, name: str) -> int:
        *parts, last = check_name(name).split("/")
        with translate_errors(self._root, name):
            with open_directory(self._root, parts) as parent:
                descriptor = os.open(last, _EXISTING_FILE, dir_fd=parent)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
        raise ObjectNotFound(f"{name} in {self._root} is not a file")

    def _pieces(
        self, descriptor: int, name: str, offset: int, length: int | None
    ) -> Iterator[bytes]:
        with translate_errors(self._root, name):
            end = os.fstat(descriptor).st_size if length is None else offset + length
            position = offset
            while position < end:
                piece = os.pread(descriptor, min(_PIECE_BYTES, end - position), position)
                if not piece:
                    break
                position += len(piece)
                yield piece
            size = os.fstat(descriptor).st_size
        if max(end, offset) > size:
            raise Truncated(f"{name} ends at byte {size}, before byte {max(end, offset)}")


class _Upload:
    """The sink of one object: a temp file beside its final place."""

    def __init__(self, root: Path, parts: list[str], last: str) -> None:
        self._root = root
        self._parts = parts
        self._last = last
        self._name = "/".join([*parts, last])
        self._temporary = f"{TEMP_PREFIX}{secrets.token_hex(8)}-{last}"
        self._directory, self._file = self._begin()
        self._open = True
        self._published = False

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        with translate_errors(self._root, self._name):
            while view:
                view = view[os.write(self._file, view) :]

    def commit(self) -> None:
        try:
            with translate_errors(self._root, self._name):
                disk.sync(self._file)
                self._publish()
                disk.sync(self._directory)
        except ObjectNotFound as error:
            raise UploadLost(f"the temp file of {self._name} was cleaned up") from error
        self._close()

    def abort(self) -> None:
        if not self._open:
            return
        leftovers = [self._temporary, self._last] if self._published else [self._temporary]
        for leftover in leftovers:
            with suppress(OSError):  # gone with its disk or cleaned up already
                os.unlink(leftover, dir_fd=self._directory)
        self._close()
        prune(self._root, self._parts)

    def _begin(self) -> tuple[int, int]:
        for attempt in range(10):
            try:
                parent = make_directory(self._root, self._parts)
            except FileNotFoundError:  # pruned while it was being made, or the root is gone
                if attempt == 9:
                    raise
                continue
            try:
                self._refuse_taken(parent)
                return parent, os.open(self._temporary, _NEW_FILE, 0o600, dir_fd=parent)
            except FileNotFoundError:  # a deletion pruned the still empty directory
                os.close(parent)
            except BaseException:
                os.close(parent)
                prune(self._root, self._parts)
                raise
        raise StorageError(f"the directory of {self._name} vanishes as often as it is made")

    def _refuse_taken(self, parent: int) -> None:
        with suppress(FileNotFoundError):
            os.stat(self._last, dir_fd=parent, follow_symlinks=False)
            raise ObjectExists(f"{self._name} already exists in {self._root}")

    def _publish(self) -> None:
        places = {"src_dir_fd": self._directory, "dst_dir_fd": self._directory}
        try:
            os.link(self._temporary, self._last, follow_symlinks=False, **places)
        except FileExistsError as error:
            raise ObjectExists(f"{self._name} already exists in {self._root}") from error
        except OSError as error:
            if error.errno not in disk.NO_HARD_LINKS:
                raise
            self._rename()
        else:
            self._published = True
            os.unlink(self._temporary, dir_fd=self._directory)

    def _rename(self) -> None:
        disk.lock(self._directory)  # released when the descriptor is closed
        self._refuse_taken(self._directory)
        os.rename(
            self._temporary,
            self._last,
            src_dir_fd=self._directory,
            dst_dir_fd=self._directory,
        )
        self._published = True

    def _close(self) -> None:
        self._open = False
        os.close(self._file)
        os.close(self._directory)


def _final_name(temporary: str) -> str:
    return temporary.removeprefix(TEMP_PREFIX).partition("-")[2]


def _info(name: str, state: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))
