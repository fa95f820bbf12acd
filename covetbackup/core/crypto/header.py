"""The 96 bytes before the chunks of an encrypted object, and the sizes that follow from them."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.subkeys import hkdf
from covetbackup.core.crypto.suites import ChunkCipher, Suite
from covetbackup.core.errors import BadSetting, NotAnArchive, Tampered, Truncated, WrongKey

MAGIC = b"COVETBK1"
HEADER_SIZE = 96
SALT_SIZE = 32
CHUNK_LOG2 = 20
INDEX_VOLUME = 0xFFFF
"""The volume number of a member's frame index."""

_BOUND = 64  # header bytes that enter the key derivation: all but the commitment
_COMMITMENT = 32
_FIELDS = struct.Struct(">8sBBHI16s32s32s")
_INFO = b"covetbackup/1 stream\0"


@dataclass(frozen=True, slots=True)
class StreamId:
    """The identity of an object: the backup's 16 bytes and `member_index << 16 | volume_index`."""

    backup_id: bytes
    number: int

    def __post_init__(self) -> None:
        if len(self.backup_id) != 16 or not 0 <= self.number < 1 << 32:
            raise BadSetting("a backup id has 16 bytes, an object number 32 bits")

    def __str__(self) -> str:
        member, volume = self.number >> 16, self.number & 0xFFFF
        part = "index" if volume == INDEX_VOLUME else f"volume {volume}"
        return f"member {member} {part} of backup {self.backup_id.hex()}"


@dataclass(frozen=True, slots=True)
class Header:
    """A header of the right form. Nothing in it is authentic before `open` succeeded."""

    suite: Suite
    chunk_log2: int
    stream_id: StreamId
    salt: bytes
    commitment: bytes

    @classmethod
    def create(
        cls, dek: Dek, stream_id: StreamId, *, suite: Suite, chunk_log2: int, salt: bytes
    ) -> tuple[Header, ChunkCipher]:
        """Return a header for a new object and the cipher for its chunks; `salt` must be fresh."""
        if not 12 <= chunk_log2 <= 24:
            raise BadSetting(f"chunk size 2^{chunk_log2} is not from 2^12 to 2^24")
        draft = cls(suite, chunk_log2, stream_id, salt, bytes(_COMMITMENT))
        key, commitment = draft._derive(dek)
        return cls(suite, chunk_log2, stream_id, salt, commitment), suite.cipher(key)

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Return the header in the first bytes of an object.

        Raises `Truncated` if they are too few, `NotAnArchive` for anything this version does not
        know: it never guesses.
        """
        _check_magic(data[: len(MAGIC)])
        if len(data) < HEADER_SIZE:
            raise Truncated(f"the object ends after {len(data)} bytes, inside its header")
        _, wire, chunk_log2, flags, number, backup_id, salt, commitment = _FIELDS.unpack(
            data[:HEADER_SIZE]
        )
        suite = Suite.from_wire(wire)
        if suite is None or flags or not 12 <= chunk_log2 <= 24:
            raise NotAnArchive(
                f"the object has cipher suite {wire}, chunk size 2^{chunk_log2}, flags {flags}",
                "is it damaged, or does it need a newer CovetBackup?",
            )
        return cls(suite, chunk_log2, StreamId(backup_id, number), salt, commitment)

    def encode(self) -> bytes:
        """Return the 96 bytes of the header, as FORMAT.md describes them."""
        return _FIELDS.pack(
            MAGIC,
            self.suite.wire,
            self.chunk_log2,
            0,
            self.stream_id.number,
            self.stream_id.backup_id,
            self.salt,
            self.commitment,
        )

    def open(self, dek: Dek, stream_id: StreamId) -> ChunkCipher:
        """Return the cipher for the chunks of `stream_id`.

        Raises `Tampered` if this is another object than asked for, `WrongKey` if the DEK is another
        one or the header was changed; after this the whole header is authentic.
        """
        if self.stream_id != stream_id:
            raise Tampered(
                f"{stream_id}: found an object of another backup or role ({self.stream_id})",
                "was it moved or renamed?",
            )
        key, commitment = self._derive(dek)
        if not hmac.compare_digest(commitment, self.commitment):
            raise WrongKey(
                f"{stream_id}: the key does not open it",
                "is the keys object of this backup, or is the header damaged?",
            )
        return self.suite.cipher(key)

    @property
    def chunk_size(self) -> int:
        """Plain bytes of each chunk but the last."""
        return 1 << self.chunk_log2

    @property
    def encrypted_chunk_size(self) -> int:
        """The size in bytes of each encrypted chunk but the last."""
        return self.suite.encrypted_size(self.chunk_size)

    def _derive(self, dek: Dek) -> tuple[bytes, bytes]:
        """Stream key and commitment: any changed bit of the header changes both."""
        info = _INFO + self.encode()[:_BOUND]
        size = self.suite.key_bytes
        okm = hkdf(dek.secret, salt=self.salt, info=info, length=size + _COMMITMENT)
        return okm[:size], okm[size:]


def object_number(member: int, volume: int) -> int:
    """Return the number of a member's volume, or of its index (`INDEX_VOLUME`).

    Raises `BadSetting`.
    """
    if not (0 <= member <= 0xFFFF and 0 <= volume <= 0xFFFF):
        raise BadSetting(f"member {member} volume {volume} is beyond 65535")
    return member << 16 | volume


def plausible_size(size: int, suite: Suite, chunk_log2: int = CHUNK_LOG2) -> bool:
    """Return whether a whole object can have `size` bytes.

    The last chunk is always shorter than the others, so an object that was cut at a chunk boundary
    is recognised here, without a key.
    """
    rest = (size - HEADER_SIZE) % suite.encrypted_size(1 << chunk_log2)
    return size > HEADER_SIZE and suite.can_be_chunk(rest)


def _check_magic(start: bytes) -> None:
    if start == MAGIC or MAGIC.startswith(start):  # a cut one is reported as such
        return
    if start[:-1] == MAGIC[:-1]:
        raise NotAnArchive(
            f"the object has format {start[-1:]!r}, this version reads {MAGIC[-1:]!r}",
            "does it need a newer CovetBackup, or is it damaged?",
        )
    raise NotAnArchive("the object is not an encrypted CovetBackup object")
