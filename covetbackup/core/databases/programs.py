"""The programs and libraries of this machine that read and write databases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """The client programs of one version, or a library.

    `location` is the programs' folder, or says what the library is part of.
    """

    name: str
    version: str
    location: str
    is_library: bool = False
