"""Birth times of files, which Python does not return on Linux: `statx` of the C library does.

An inode number is given to the next file as soon as one is removed (ext4 takes the lowest that is
free), so that device and inode alone take another file for the one that was there.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# From linux/stat.h and linux/fcntl.h. `struct statx` is the same on every architecture: 256 bytes,
# its u32 stx_mask first, and stx_btime at 0x50 as s64 seconds and u32 nanoseconds.
_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_STATX_BYTES = 256


class _Statx(ctypes.Structure):
    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("before_btime", ctypes.c_byte * (0x50 - 4)),
        ("seconds", ctypes.c_int64),
        ("nanoseconds", ctypes.c_uint32),
        ("after_btime", ctypes.c_byte * (_STATX_BYTES - 0x5C)),
    )


_statx = getattr(ctypes.CDLL(None), "statx", None)  # glibc before 2.28 has none


def birth_time(path: Path) -> int | None:
    """Return the birth time of a file in nanoseconds since 1970, None where it is not known.

    Follows no link. Not known either when it is 0: ext4 has that of files that an image builder
    wrote.
    """
    found = _Statx()
    flags = (_AT_SYMLINK_NOFOLLOW, _STATX_BTIME, ctypes.byref(found))
    if _statx is None or _statx(_AT_FDCWD, os.fsencode(path), *flags) != 0:
        return None
    if not found.mask & _STATX_BTIME:
        return None
    return found.seconds * 1_000_000_000 + found.nanoseconds or None
