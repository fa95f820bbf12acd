"""Small encrypted objects for tests, and what a reader makes of them."""

from __future__ import annotations

import hashlib

from covetbackup.core.crypto.chunks import FinalFlag, StreamId, decrypt, encrypt
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import HEADER_SIZE
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import CovetError

CHUNK_LOG2 = 12
CHUNK = 1 << CHUNK_LOG2
DEK = Dek(bytes(range(32)))
BACKUP = bytes(range(16, 32))
STREAM = StreamId(BACKUP, 0)


def plain_bytes(size: int, seed: str = "") -> bytes:
    """`size` bytes that do not repeat, the same for the same seed."""
    return hashlib.shake_256(f"covet {seed}".encode()).digest(size)


def encrypted(
    plain: bytes,
    suite: Suite,
    *,
    dek: Dek = DEK,
    stream_id: StreamId = STREAM,
    last: FinalFlag = FinalFlag.END,
) -> bytes:
    filter_ = encrypt(dek, stream_id, suite=suite, last=lambda: last, chunk_log2=CHUNK_LOG2)
    return b"".join(filter_(iter([plain])))


def opened(data: bytes, *, dek: Dek = DEK, stream_id: StreamId = STREAM) -> bytes:
    return b"".join(decrypt(dek, stream_id, expect=FinalFlag.END)(iter([data])))


def opened_volumes(volumes: list[bytes]) -> bytes:
    """A member from its volumes: all but the last must say that more follow."""
    plain = b""
    for number, volume in enumerate(volumes):
        expect = FinalFlag.END if number == len(volumes) - 1 else FinalFlag.MORE
        plain += b"".join(decrypt(DEK, StreamId(BACKUP, number), expect=expect)(iter([volume])))
    return plain


def chunks_of(data: bytes, suite: Suite) -> tuple[bytes, list[bytes]]:
    """Header and chunks of an object."""
    size, body = suite.encrypted_size(CHUNK), data[HEADER_SIZE:]
    return data[:HEADER_SIZE], [body[at : at + size] for at in range(0, len(body), size)]


def object_size(plain_size: int, suite: Suite) -> int:
    """The formula of FORMAT.md."""
    full, rest = divmod(plain_size, CHUNK)
    if suite is Suite.AES_256_CBC_HMAC_SHA256:
        return 96 + full * (CHUNK + 64) + 48 + 16 * (rest // 16 + 1)
    return 96 + full * (CHUNK + 16) + rest + 16


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def refusal(
    data: bytes,
    plain: bytes,
    *,
    dek: Dek = DEK,
    stream_id: StreamId = STREAM,
) -> CovetError | None:
    """The error that reading `data` ends with; None if it was accepted.

    Asserts that whatever came out before the error is the beginning of `plain`.
    """
    released = b""
    try:
        for piece in decrypt(dek, stream_id, expect=FinalFlag.END)(iter([data])):
            released += piece
    except CovetError as error:
        assert plain.startswith(released)
        return error
    return None
