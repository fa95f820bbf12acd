"""The contract of a storage, and the names objects may have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.base import Sink, Source

MARKER = "covet.json"
"""The object that makes a place a repository; without it nothing else is written there."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,199}){0,7}")
_NAME_LIMIT = 900  # S3 allows 1024 bytes for prefix and name together


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """The facts about one object in a storage: size in bytes, time of commit (aware UTC)."""

    name: str
    size: int
    modified_at: datetime


class Storage(Protocol):
    """Immutable named objects. Safe to use from several threads.

    All methods raise `StorageUnavailable` (transient), `AccessRefused` or another `StorageError`;
    no driver's own exception leaves a driver. Every name is checked with `check_name`.
    """

    def create(self, name: str) -> Sink:
        """Return a sink for a new object, invisible until its `commit` and durable after it.

        Raises `ObjectExists` here or at commit if the name is taken (an object is never
        overwritten), `StorageFull` when there is no room, `BadSetting` when the marker is missing
        and `name` is not the marker (an unmounted disk, a wrong prefix). After `abort`, or a crash
        followed by `cleanup`, nothing of it remains.
        """

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        """Return a source of `length` bytes from `offset` (to the end when None).

        Entering it raises `ObjectNotFound`; it raises `Truncated` if fewer bytes come than the
        object or `length` has. An `offset` at the end gives an empty stream.
        """

    def stat(self, name: str) -> ObjectInfo:
        """Return the facts about one object. Raises `ObjectNotFound`."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all committed objects whose name starts with `prefix`, sorted by name."""

    def delete(self, name: str) -> None:
        """Remove an object; deleting nothing is fine. Raises `DeleteRefused`."""

    def cleanup(self, before: datetime, prefix: str = "") -> Sequence[str]:
        """Remove uploads begun before `before` (aware UTC) and never committed; return their names.

        Only of objects whose name starts with `prefix`. Raises `DeleteRefused`.
        """


def check_name(name: str) -> str:
    """Return `name` if it may name an object, else raise `BadSetting`.

    Allowed are up to 8 parts of [A-Za-z0-9._-] joined by "/", none beginning with a dot or dash,
    900 characters at most.
    """
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise BadSetting(f"{name[:80]!r} is not an object name")
    return name
