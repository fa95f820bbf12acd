"""The data encryption key of one backup."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from covetbackup.core.errors import BadSetting

DEK_BYTES = 32


@dataclass(frozen=True, slots=True)
class Dek:
    """The data encryption key of a backup: 32 secret bytes. Its repr shows nothing."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != DEK_BYTES:
            raise BadSetting(f"a data encryption key has {DEK_BYTES} bytes")


def new_dek() -> Dek:
    """Return a DEK from the operating system's generator."""
    return Dek(os.urandom(DEK_BYTES))
