"""Roles and tablespaces that entries name, which the server must have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from covetbackup.core.databases.postgresql.archive.contents import Entry

# Roles are named without schema after these words. That a word of a quoted name may look the same
# does no harm: the caller compares with the roles that exist.
_ROLE = rb'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_NAMED = re.compile(rb"\b(?:TO|FROM|AUTHORIZATION|FOR ROLE) (%b(?:, %b)*)" % (_ROLE, _ROLE))
_EACH = re.compile(_ROLE)
_WITH_ROLES = (b"ACL", b"DEFAULT ACL", b"POLICY")


def roles_of(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the roles that own `entries`, are granted something, or are named by a policy."""
    found: set[str] = set()
    for entry in entries:
        found.add(entry.text(entry.owner))
        if entry.kind in _WITH_ROLES:
            for names in _NAMED.findall(entry.definition):
                found.update(entry.text(unquoted(name)) for name in _EACH.findall(names))
    return frozenset(name for name in found if name)


def tablespaces_of(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the tablespaces that `entries` name."""
    return frozenset(entry.text(entry.tablespace) for entry in entries if entry.tablespace)


def unquoted(name: bytes) -> bytes:
    """Return an identifier without its quotes, if it has any."""
    return name[1:-1].replace(b'""', b'"') if name.startswith(b'"') else name
