"""The request for a restore: one value, made by the form or the command line.

The same value is stored with the restore, checked, and handed to the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting

VERSION = 1
"""Of the JSON form; higher ones come from a newer CovetBackup."""


class OwnerPolicy(StrEnum):
    """Who owns the restored objects: as in the backup, the restoring role, or one named role."""

    KEEP = "keep"
    NONE = "none"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """The part of a backup to restore, the database to restore it into, and how.

    database       the target's name on the engine's server, for SQLite the file's name in the
                   folder; "" is the database that the engine was opened for
    selection      the part of the backup to restore; None for all of it
    into_existing  the target exists and gets the selection in addition to what it holds; a
                   selection without structure always goes into an existing target
    replace        the target exists and is replaced by the restored database, and retained
                   under another name; otherwise the target must not exist
    owner          "keep", "none" or the name of the role or account that shall own all objects
    create_roles   create missing roles or accounts from the backup
    jobs           how many connections load at once; None for the default of the backup
    options        names of the kind's further options (`restore_target.Switch.name`)

    Raises `BadSetting` for values that contradict each other whatever the kind.
    """

    database: str = ""
    selection: Selection | None = None
    into_existing: bool = False
    replace: bool = False
    owner: str = OwnerPolicy.KEEP.value
    create_roles: bool = False
    jobs: int | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.into_existing and self.replace:
            raise BadSetting(
                "a database is either replaced or restored into, not both", "choose one of them"
            )
        if self.jobs is not None and self.jobs < 1:
            raise BadSetting(f"{self.jobs} jobs cannot restore anything", "1 or more can")
        if not self.owner:
            raise BadSetting("the owner has no name", "keep, none, or the name of a role")

    @property
    def is_in_place(self) -> bool:
        """Whether the target exists and gets the selection in addition to what it holds."""
        return self.into_existing or not self.has_structure

    @property
    def has_structure(self) -> bool:
        """Whether objects are created, and not only rows loaded into existing tables."""
        return self.selection is None or self.selection.with_structure

    @property
    def owner_policy(self) -> OwnerPolicy:
        """The kind of owner that `owner` names; no server allows a role "none"."""
        is_policy = self.owner in (OwnerPolicy.KEEP, OwnerPolicy.NONE)
        return OwnerPolicy(self.owner) if is_policy else OwnerPolicy.ROLE

    @property
    def owner_role(self) -> str:
        """The name of the role or account that shall own all objects, "" if there is none."""
        return self.owner if self.owner_policy is OwnerPolicy.ROLE else ""

    @property
    def sets_options(self) -> bool:
        """Whether anything is asked about owners, roles or further options."""
        keeps_owner = self.owner_policy is OwnerPolicy.KEEP
        return bool(not keeps_owner or self.create_roles or self.options)

    def refuse_unknown_options(self, *known: str) -> None:
        """Raise `BadSetting` if an option is none of those that the kind knows."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise BadSetting(f"unknown restore options: {', '.join(unknown)}")

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestoreRequest:
        """Read what `to_json` returned, of this version or an older one.

        Raises `BadSetting` for one of a newer version.
        """
        if data["version"] > VERSION:
            raise BadSetting(
                f"the restore was requested by a newer CovetBackup (format {data['version']})",
                "upgrade this worker",
            )
        fields = {name: value for name, value in data.items() if name != "version"}
        selection = fields["selection"]
        if selection is not None:
            fields["selection"] = selection_from_json(selection)
        return cls(**{**fields, "options": tuple(fields["options"])})


WHOLE_BACKUP = RestoreRequest()
"""All of a backup into a new database, the one that the engine was opened for."""


def selection_from_json(data: Mapping[str, Any]) -> Selection:
    """Read the stored form of a selection, of which lists were tuples."""
    renames = tuple((old, new) for old, new in data["schemas_as"])
    tables, schemas = tuple(data["tables"]), tuple(data["schemas"])
    return Selection(tables, schemas, data["with_data"], data["with_structure"], renames)


@dataclass(frozen=True, slots=True)
class PlannedRestore:
    """A restore to be checked before it begins, and what is known of its backup.

    request      whose `database` is named and whose `jobs` are set
    expected     the inventory of the backup
    plain_bytes  what is loaded of it, None if unknown
    method       the engine's backup method
    resolved     what the selection comes to; None if all is restored or it cannot be told
    privileged   kind and name of what only a superuser may create
    """

    request: RestoreRequest
    expected: Inventory
    plain_bytes: int | None
    method: str = ""
    resolved: ResolvedSelection | None = None
    privileged: tuple[str, ...] = ()
