"""The database file of a backup: whether it can be read, and is still the same file later."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from covetbackup.core.errors import BadSetting, DatabaseUnavailable, SourceFailed

# Shared memory is not shared between hosts, and locks often are not either.
_NETWORK = re.compile(
    r"nfs|nfs4|cifs|smb3|smbfs|afs|ceph|glusterfs|lustre|9p|virtiofs|ncpfs|fuse\.(sshfs|s3fs|.*gluster.*|rclone|gcsfuse)"
)
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A database file: its path, and the inode that the path led to."""

    path: Path
    device: int
    inode: int

    def prove_same(self) -> None:
        """Raise `SourceFailed` if the path is gone or another file took its place."""
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise SourceFailed(f"{self.path} vanished during the backup") from error
        if (status.st_dev, status.st_ino) != (self.device, self.inode):
            raise SourceFailed(
                f"{self.path} was replaced during the backup",
                "does a program swap the file by rename? back up when it does not",
            )


def find_source(path: Path) -> SourceFile:
    """Inspect `path` without opening it, see `fd_cache` for why. Raises `DatabaseUnavailable`."""
    try:
        # SQLite names -wal and -shm after the file behind a symbolic link, so we must too.
        path = path.resolve(strict=True)
        status = os.stat(path)
    except FileNotFoundError as error:
        raise DatabaseUnavailable(f"{path} does not exist", "is the path right?") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.12
        raise DatabaseUnavailable(f"{path} cannot be reached: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseUnavailable(f"{path} is not a regular file", "name the database file itself")
    if not os.access(path, os.R_OK):
        raise DatabaseUnavailable(
            f"{path} is not readable by this user",
            "give the backup's user read permission, or run the backup as the owner",
        )
    return SourceFile(path=path, device=status.st_dev, inode=status.st_ino)


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raise `BadSetting` if `path` lies on a network file system.

    `mounts` is the text of /proc/self/mountinfo (proc(5)); read from there by default.
    """
    kind = _filesystem_of(path.resolve(), _MOUNTS.read_text() if mounts is None else mounts)
    if _NETWORK.fullmatch(kind):
        raise BadSetting(
            f"{path} is on a network file system ({kind})",
            "run the backup on the host that has the disk, or use method 'backup' "
            "if every user of the database runs on this host",
        )


def is_mount_point(path: Path, mounts: str | None = None) -> bool:
    """Return whether the file `path` is mounted by itself, as containers do it.

    Such a file has no name that could be changed. `mounts` as in `refuse_network`.
    """
    lines = (_MOUNTS.read_text() if mounts is None else mounts).splitlines()
    return str(path.resolve()) in (_unescaped(line.split(" ")[4]) for line in lines)


def _filesystem_of(path: Path, mounts: str) -> str:
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = _unescaped(left.split(" ")[4])
        # >=: a later mount on the same point hides the earlier one.
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
