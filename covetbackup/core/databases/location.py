"""Locations of databases, which differ for a copy and stay the same for a renamed database.

    KIND:<what is never the same on one server>:<what is never the same on two>
    file:<inode number>:<birth time in nanoseconds>

A dump and restore, a template, a copied file or folder give another location; a renamed database or
file, another address of the server, a restart and a promoted standby do not. Nor does a copy of the
server's whole data directory, which nothing in it tells from the original.
"""

from __future__ import annotations


def is_same_location(one: str, other: str) -> bool:
    """Return whether both mean the same place, as far as both are known.

    Of a file the birth time decides where it is known: no copy has it, while some shared folders
    give inode numbers anew whenever they are mounted.
    """
    first, second = one.split(":"), other.split(":")
    if len(first) != 3 or len(second) != 3 or first[0] != second[0]:
        return False
    has_last = bool(first[2] and second[2])
    if first[0] == "file" and has_last:
        return first[2] == second[2]
    return first[1] == second[1] and (not has_last or first[2] == second[2])
