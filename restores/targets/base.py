"""What each kind of server must know to be restored to. One value for each kind: `registry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from backups.models import Server
from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.selection import ResolvedSelection


@dataclass(frozen=True, slots=True)
class Wanted:
    """The database to be created, or with `replaces` to be replaced, and what the backup holds;
    `plain_bytes` None if unknown. `method` is the engine's by which it was taken. Of what the
    backup holds only what is `chosen` comes, unless that is None: all of it, or not known. With
    `adds` it goes into the database, rows alone if not `with_structure`. `privileged` names what
    only a superuser may create of it; `switches` are the further choices that were made."""

    server: Server
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
class Exchange:
    """How one database of a server gets another's place. All contact it and raise `CovetError`.

    refuse_unfit  raises for a database that cannot be replaced, by this role or at all
    sessions      who is connected to a database
    identity      what stays with a database when it is renamed, None if there is none of the name,
                  "" if the server cannot tell it from another
    name_of       the name that the database of an identity has now, None if it is gone or unknown
    free_name     what a database will be called once it is replaced at a moment
    swap          of a target and an incoming one: the target is kept as the third name, and the
                  incoming one is called as the target was; all or nothing. Returns what a person
                  should know of the one that is kept, a line each
    was_swapped   of a target and the name to keep it under: whether a swap that may have been
                  killed has happened; what it left halfway is cleared away
    drop          removes a kept database that nobody uses
    """

    refuse_unfit: Callable[[Server, str], None]
    sessions: Callable[[Server, str], list[Session]]
    identity: Callable[[Server, str], str | None]
    name_of: Callable[[Server, str], str | None]
    free_name: Callable[[Server, str, datetime], str]
    swap: Callable[[Server, str, str, str], list[str]]
    was_swapped: Callable[[Server, str, str], bool]
    drop: Callable[[Server, str], None]


@dataclass(frozen=True, slots=True)
class Adding:
    """How what is chosen goes into a database that is there: all of it or nothing.

    makes_tables  whether tables that are not there yet can come; else only rows for those that are
    look          the checks of that database, as of `TargetKind`
    was_added     whether a restore of that trace was committed (`base.VerifiableCommit`), None if
                  cannot be told. Contacts the server; raises `CovetError`
    """

    makes_tables: bool
    look: Callable[[Wanted], list[Check]]
    was_added: Callable[[Server, str], bool | None] = lambda server, trace: None


@dataclass(frozen=True, slots=True)
class Question:
    """How a kind of server has a question put, in its own words."""

    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A further choice of a kind, that is made or not: the engine's option `name`, asked for on the
    pages by `label` and `help_text`, on the command line by `flag`. The pages ask only of backups
    that hold `extension`, if one is named."""

    name: str
    flag: str
    label: str
    help_text: str
    extension: str = ""


@dataclass(frozen=True, slots=True)
class TargetKind:
    """`has_owners`: objects belong to roles, and several sessions can load at once.
    `creates_roles`: roles or accounts that are missing there can be created from the backup, and
    so it is asked for; None if they cannot.
    `selects`: some tables of a backup can be restored without the others.
    `adding`: how they go into a database that is there, None if they cannot.
    `owner_word`: what those are called that objects belong to.
    `has_schemas`: tables are in schemas, which can come under other names.
    `has_superusers`: some objects of a backup only they may create, which its contents tell.
    `owner_help`: what is to be known about naming the owner.
    `switches`: what else can be chosen when all of a backup, or tables of it, are created.

    refuse_name   raises `BadSetting` for a name that no new database may have; contacts nothing
    refuse_owner  raises `BadSetting` for what no role or account can be called; contacts nothing
    joined_name   a database's name with something added, as short as names must be
    look          the checks of the server, made by contacting it; touches no catalog
    is_free       whether nothing on the server has the name. As `sweep`, raises `CovetError`
    sweep         removes what restores killed before a moment left there, and returns the names;
                  what cannot be removed is told to its last argument, with the reason
    command       how to connect to the restored database, without a password
    options       the engine's options for whom objects belong to, and whether roles are created
    exchange      how a database is replaced
    refuse_catalog  raises `Conflict` if a database lies where the third argument says that the
                  dashboard's own catalog does. Contacts the server, touches no catalog
    """

    has_owners: bool
    creates_roles: Question | None
    selects: bool
    refuse_name: Callable[[Server, str], None]
    refuse_owner: Callable[[str], None]
    joined_name: Callable[[str, str], str]
    look: Callable[[Wanted], list[Check]]
    is_free: Callable[[Server, str], bool]
    sweep: Callable[[Server, datetime, Callable[[str], None]], list[str]]
    command: Callable[[Server, str], str]
    options: Callable[[str, bool], dict[str, object]]
    exchange: Exchange
    adding: Adding | None = None
    owner_word: str = "role"
    has_schemas: bool = False
    has_superusers: bool = False
    owner_help: str = ""
    switches: tuple[Switch, ...] = ()
    refuse_catalog: Callable[[Server, str, str], None] = lambda server, name, catalog: None

    def options_of(
        self, owner: str, creates_roles: bool, switches: Iterable[str]
    ) -> dict[str, object]:
        """Return the engine's options for all that was chosen."""
        return {**self.options(owner, creates_roles), **dict.fromkeys(switches, True)}
