"""What each kind of server must know to be restored to. One value for each kind: `registry`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from backups.models import Server
from covetbackup.core.databases.inventory import Inventory
from restores.checks import Check


@dataclass(frozen=True, slots=True)
class Wanted:
    """The database to be created, and what the backup holds; `plain_bytes` None if unknown."""

    server: Server
    name: str
    owner: str
    expected: Inventory
    plain_bytes: int | None


@dataclass(frozen=True, slots=True)
class TargetKind:
    """`has_owners`: objects belong to roles, and several sessions can load at once.

    refuse_name   raises `BadSetting` for a name that no new database may have; contacts nothing
    joined_name   a database's name with something added, as short as names must be
    look          the checks of the server, made by contacting it; touches no catalog
    is_free       whether nothing on the server has the name. As `sweep`, raises `CovetError`
    sweep         removes what restores killed before a moment left there, and returns the names
    command       how to connect to the restored database, without a password
    """

    has_owners: bool
    refuse_name: Callable[[Server, str], None]
    joined_name: Callable[[str, str], str]
    look: Callable[[Wanted], list[Check]]
    is_free: Callable[[Server, str], bool]
    sweep: Callable[[Server, datetime], list[str]]
    command: Callable[[Server, str], str]
