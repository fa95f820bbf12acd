"""Small objects, read and written whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covetbackup.core.errors import TooLarge
from covetbackup.core.storage.base import Storage
from covetbackup.core.stream.pump import pump


def read_object(storage: Storage, name: str, *, limit: int) -> bytes:
    """Return the bytes of `name`. Raises `ObjectNotFound`, and `TooLarge` beyond `limit` bytes."""
    pieces, size = [], 0
    with storage.open(name) as chunks:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"{name} is larger than {limit} bytes")
            pieces.append(chunk)
    return b"".join(pieces)


def write_object(storage: Storage, name: str, data: bytes) -> None:
    """Store `data` as `name`. Raises `ObjectExists`."""
    pump(bytes_source(data), [], storage.create(name))


@contextmanager
def bytes_source(data: bytes) -> Iterator[Iterator[bytes]]:
    """Give `data` as a source."""
    yield iter((data,))
