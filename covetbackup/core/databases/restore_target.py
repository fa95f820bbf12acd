"""The options of restores of a kind, its targets, and how one database replaces another.

`RestoreFeatures` are values that need no server. `RestoreTarget` and `Replacement` contact it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.retained import Session
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class FieldText:
    """The words of a kind for a choice on a form."""

    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A further option of a kind that is on or off.

    It is the engine's option `name`, on a form `label` and `help_text`. It is offered only for
    backups that hold `extension`, if one is named.
    """

    name: str
    label: str
    help_text: str
    extension: str = ""

    @property
    def flag(self) -> str:
        """The option on a command line."""
        return flag_of(self.name)


def flag_of(option: str) -> str:
    """Return how a command line spells the engine's option `option`: --skip-failing."""
    return f"--{option.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class RestoreFeatures:
    """The options of restores of a kind, which need no server.

    refuse_name      raises `BadSetting` for a name that no new database may have
    refuse_owner     raises `BadSetting` for an invalid name of a role or account
    name_with_suffix
                     the name of a database with a suffix, truncated so that it is a valid name
    connect_command  the shell command that connects to a database, without a password: of its
                     address (`registry.open_address`) and the server's version
    has_owners       objects belong to roles, and several sessions can load at once
    creates_roles    the label of the option to create missing roles or accounts; None if there is
                     none
    selects          some tables of a backup can be restored without the others
    into_existing    a selection can be restored into an existing database
    tables_into_existing
                     also tables that do not exist in it; else only rows of those that do
    owner_word       the word for the owners of objects
    owner_help       how an owner is named
    has_schemas      tables are in schemas, which can be renamed
    has_superusers   some objects of a backup only a superuser may create, which its contents tell
    switches         the further options
    """

    refuse_name: Callable[[str], None]
    name_with_suffix: Callable[[str, str], str]
    connect_command: Callable[[str, str], str]
    refuse_owner: Callable[[str], None] = lambda owner: None
    has_owners: bool = True
    creates_roles: FieldText | None = None
    selects: bool = True
    into_existing: bool = True
    tables_into_existing: bool = False
    owner_word: str = "role"
    owner_help: str = ""
    has_schemas: bool = False
    has_superusers: bool = False
    switches: tuple[Switch, ...] = ()

    def refuse(self, request: RestoreRequest) -> None:
        """Raise `BadSetting` for a request that restores of this kind cannot fulfil."""
        request.refuse_unknown_options(*(switch.name for switch in self.switches))
        self._refuse_selection(request)
        if request.sets_options and not (self.has_owners and request.has_structure):
            what = "rows alone take" if self.has_owners else "databases of this kind take"
            raise BadSetting(
                f"{what} no owner, roles or further options", "leave these options out"
            )
        self.refuse_owner(request.owner)

    def _refuse_selection(self, request: RestoreRequest) -> None:
        if request.into_existing:
            self._refuse_in_place(request)
        selection = request.selection
        if selection is None:
            return
        if request.replace:
            raise BadSetting(
                "some tables never take the place of a whole database",
                "restore them under a new name and copy from there",
            )
        if not self.selects:
            raise BadSetting(
                "backups of this kind are restored whole",
                "restore everything under a new name and copy from there",
            )
        if selection.schemas_as and not self.has_schemas:
            raise BadSetting("databases of this kind have no schemas that could be renamed")
        if not (selection.with_structure or request.into_existing):
            raise BadSetting(
                "rows alone go into existing tables", "name the database that has them"
            )

    def _refuse_in_place(self, request: RestoreRequest) -> None:
        if not self.into_existing:
            raise BadSetting(
                "nothing can be restored into an existing database of this kind",
                "restore under a new name and copy from there",
            )
        if request.selection is None:
            raise BadSetting(
                "only a selection can be restored into an existing database",
                "select tables or schemas, or restore everything under a new name",
            )
        if request.has_structure and not self.tables_into_existing:
            raise BadSetting(
                "only rows can be restored into an existing database of this kind",
                "create the tables first, or restore under a new name",
            )


class RestoreTarget(Protocol):
    """A server, or a folder of files, as the target of restores. All raise `CovetError`."""

    def is_free(self, name: str) -> bool:
        """Return whether nothing on the server has the name."""

    def cleanup(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        """Remove what restores killed before a moment (aware) left, and return the names.

        `say` gets the reason for each that cannot be removed.
        """

    def was_committed(self, commit_id: str) -> bool | None:
        """Return whether a restore into an existing database was committed, None if unknown.

        `commit_id` is what its `VerifiableCommit.commit_id` returned.
        """

    def location_of(self, name: str) -> str:
        """Return the location of a database (`databases.location`).

        It is "" if there is no such database, or the kind cannot tell.
        """


class Replacement(Protocol):
    """The replacement of one database of a server by another.

    All methods contact the server and raise `CovetError`.
    """

    def refuse_irreplaceable(self, name: str) -> None:
        """Raise for a database that cannot be replaced, by this role or at all."""

    def sessions(self, name: str) -> list[Session]:
        """Return the sessions that use a database."""

    def identity(self, name: str) -> str | None:
        """Return what stays the same when a database is renamed.

        None if there is no database of the name, "" if the server cannot tell it from another.
        """

    def find_by_identity(self, identity: str) -> str | None:
        """Return the current name of the database of an identity, None if gone or unknown."""

    def free_name(self, name: str, now: datetime) -> str:
        """Return the name for the database `name` once it is replaced at the moment `now`."""

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        """Rename `target` to `retained_as` and `incoming` to `target`, all or nothing.

        Returns notes about the one that is retained, a line each.
        """

    def was_swapped(self, target: str, retained_as: str) -> bool:
        """Return whether a swap that may have been killed has happened; roll back or finish it."""

    def drop(self, name: str) -> None:
        """Remove a retained database that nothing is connected to."""
