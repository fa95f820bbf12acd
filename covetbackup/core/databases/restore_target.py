"""What a kind of database tells of restores: what can be chosen, what a check finds, how one
database replaces another.

`RestoreFeatures` are values that need no server. `RestoreTarget` and `Replacement` contact it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.selection import ResolvedSelection


@dataclass(frozen=True, slots=True)
class CheckInput:
    """A restore to be checked before it begins, and what is known of its backup.

    The database `name` is created, or with `replaces` replaced, or with `adds` it gets what is
    `chosen` besides what it holds: rows alone if not `with_structure`. `owner` is "keep", "none" or
    the name of a role or account; with `creates_roles` those that are missing are created;
    `switches` are the names of further choices that were made (`Switch.name`); so many `jobs` load.

    `expected` is the inventory of the backup, which was taken by the engine's `method`, and
    `plain_bytes` what is loaded of it, None if unknown. `chosen` is what a selection came to, None
    if all is restored or it could not be told; `privileged` names what only a superuser may create.
    """

    name: str
    owner: str
    expected: Inventory
    plain_bytes: int | None
    method: str = ""
    jobs: int = 1
    creates_roles: bool = False
    switches: tuple[str, ...] = ()
    replaces: bool = False
    chosen: ResolvedSelection | None = None
    adds: bool = False
    with_structure: bool = True
    privileged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldText:
    """The words of a kind for a choice on a form."""

    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A further choice of a kind, that is made or not: the engine's option `name`, on a form
    `label` and `help_text`, on a command line `flag`. It is offered only for backups that hold
    `extension`, if one is named."""

    name: str
    flag: str
    label: str
    help_text: str
    extension: str = ""


@dataclass(frozen=True, slots=True)
class RestoreFeatures:
    """What restores of a kind can do and how to ask for it. Contacts nothing.

    refuse_name      raises `BadSetting` for a name that no new database may have
    refuse_owner     raises `BadSetting` for what no role or account can be called
    joined_name      the name of a database with a suffix, cut so that it is a valid name
    connect_command  the shell command that connects to a database, without a password: of its
                     address (`registry.open_address`) and the server's version
    has_owners       objects belong to roles, and several sessions can load at once
    creates_roles    how creating missing roles or accounts is asked for; None if it cannot be
    selects          some tables of a backup can be restored without the others
    adds             a selection can be restored into an existing database
    adds_tables      also tables that do not exist in it; else only rows of those that do
    owner_word       what the owners of objects are called
    owner_help       how an owner is named
    has_schemas      tables are in schemas, which can be renamed
    has_superusers   some objects of a backup only a superuser may create, which its contents tell
    switches         what else can be chosen
    """

    refuse_name: Callable[[str], None]
    joined_name: Callable[[str, str], str]
    connect_command: Callable[[str, str], str]
    refuse_owner: Callable[[str], None] = lambda owner: None
    has_owners: bool = True
    creates_roles: FieldText | None = None
    selects: bool = True
    adds: bool = True
    adds_tables: bool = False
    owner_word: str = "role"
    owner_help: str = ""
    has_schemas: bool = False
    has_superusers: bool = False
    switches: tuple[Switch, ...] = ()

    def options_of(
        self, owner: str, creates_roles: bool, switches: Iterable[str]
    ) -> dict[str, object]:
        """Return the engine's options for all that was chosen."""
        owners = {"owner": owner, "globals": creates_roles} if self.has_owners else {}
        return {**owners, **dict.fromkeys(switches, True)}


class RestoreTarget(Protocol):
    """A server, or a folder of files, as the target of restores. All raise `CovetError`."""

    def is_free(self, name: str) -> bool:
        """Whether nothing on the server has the name."""

    def sweep(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        """Remove what restores killed before a moment (aware) left; return the names. What cannot
        be removed is told to `say`, with the reason."""

    def was_committed(self, trace: str) -> bool | None:
        """Whether the restore into an existing database of that `VerifiableCommit.trace` was
        committed; None if that cannot be told."""

    def location_of(self, name: str) -> str:
        """Where the database lies, told so that a copy lies elsewhere and a renamed database does
        not; "" if there is none, or the kind cannot tell."""


class Replacement(Protocol):
    """How one database of a server replaces another. All contact it and raise `CovetError`."""

    def refuse_unfit(self, name: str) -> None:
        """Raise for a database that cannot be replaced, by this role or at all."""

    def sessions(self, name: str) -> list[Session]:
        """Who is connected to a database."""

    def identity(self, name: str) -> str | None:
        """What stays with a database when it is renamed, None if there is none of the name, "" if
        the server cannot tell it from another."""

    def name_of(self, identity: str) -> str | None:
        """The name that the database of an identity has now, None if it is gone or unknown."""

    def free_name(self, name: str, now: datetime) -> str:
        """What the database `name` will be called once it is replaced at the moment `now`."""

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        """Rename `target` to `retained_as` and `incoming` to `target`, all or nothing. Returns what
        is to be known of the one that is retained, a line each."""

    def was_swapped(self, target: str, retained_as: str) -> bool:
        """Whether a swap that may have been killed has happened; what it left halfway is cleared
        away."""

    def drop(self, name: str) -> None:
        """Remove a retained database that nothing is connected to."""
