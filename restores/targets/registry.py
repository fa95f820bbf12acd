"""From a server to its kind of target."""

from __future__ import annotations

from backups.models import Server
from backups.models.source import ServerKind
from restores.targets import mysql, postgresql, sqlite
from restores.targets.base import Switch, TargetKind

_KINDS: dict[ServerKind, TargetKind] = {
    ServerKind.POSTGRESQL: postgresql.KIND,
    ServerKind.MYSQL: mysql.KIND,
    ServerKind.SQLITE: sqlite.KIND,
}


def all_switches() -> list[Switch]:
    """Return the further choices of all kinds."""
    return [switch for kind in _KINDS.values() for switch in kind.switches]


def kind_of(server: Server) -> TargetKind:
    return _KINDS[ServerKind(server.kind)]
