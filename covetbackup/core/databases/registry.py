"""The kinds of database that there are, and the engine for an address.

A kind's engine is imported when it is used, so that a SQLite backup needs no PostgreSQL driver, and
a command line can be parsed without any. To add a kind: one folder with an `engine.py` that has a
`KIND`, and one line in `ENTRIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import cast

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.kind import Address, Capabilities, Kind
from covetbackup.core.databases.restore_target import RestoreFeatures
from covetbackup.core.databases.selection import Listing
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret


@dataclass(frozen=True, slots=True)
class RegisteredKind:
    """A line of the registry: what is known of a kind before its engine is imported.

    title    the kind's name on pages
    schemes  the schemes of its addresses
    module   the module with its `KIND`
    options  the names of the further options of its restores, those of `RestoreFeatures.switches`,
             and for each its line in the help of a command
    """

    title: str
    schemes: tuple[str, ...]
    module: str
    options: Mapping[str, str] = field(default_factory=dict)


_HERE = __package__
ENTRIES = {
    "postgresql": RegisteredKind(
        "PostgreSQL",
        ("postgresql", "postgres"),
        f"{_HERE}.postgresql.engine",
        {
            "skip_failing": "leave out what the server refuses to create, except tables, and name "
            "it",
            "leave_out_scheduler": "leave out pg_cron; its jobs lie in schema left_out_cron",
        },
    ),
    "mysql": RegisteredKind(
        "MySQL / MariaDB",
        ("mysql", "mariadb"),
        f"{_HERE}.mysql.engine",
        {"enable_events": "let the events of a copy under another name run"},
    ),
    "sqlite": RegisteredKind("SQLite", ("sqlite",), f"{_HERE}.sqlite.engine"),
}


def kind_titles() -> list[tuple[str, str]]:
    """Return the name of each kind, as manifests and the catalog have it, and its title."""
    return [(name, entry.title) for name, entry in ENTRIES.items()]


def kind_named(name: str) -> Kind:
    """Return the kind that manifests and the catalog call `name`. Raises `BadSetting`."""
    if name not in ENTRIES:
        raise BadSetting(f"{name!r} is not a database kind known here", "update CovetBackup?")
    return cast(Kind, import_module(ENTRIES[name].module).KIND)


def kind_of_url(url: str) -> str:
    """Return the name of the kind that the address `url` is of. Raises `BadSetting`."""
    scheme = url.partition(":")[0]
    for name, entry in ENTRIES.items():
        if scheme in entry.schemes:
            return name
    raise BadSetting(
        f"{scheme[:40]!r} is not a database kind known here",
        "addresses begin with postgresql://, mysql://, mariadb:// or sqlite:///",
    )


def open_address(url: str, password: Secret | None = None) -> Address:
    """Return the engine for the address of a database.

    That is `postgresql://user@host:port/database`, the same with `mysql` or `mariadb`, or
    `sqlite:////absolute/path`. Opens no connection. Raises `BadSetting` for any other form, or a
    password in the address.
    """
    return kind_named(kind_of_url(url)).open_url(url, password)


def is_address(url: str) -> bool:
    """Return whether `url` has the scheme of a database address."""
    scheme = url.partition(":")[0]
    return any(scheme in entry.schemes for entry in ENTRIES.values())


def cleanup_restores(url: str, before: datetime, password: Secret | None = None) -> list[str]:
    """Remove what killed restores begun before `before` (aware) left, and return the names.

    They are on the server of `url`, or in the folder that a `sqlite:` address names or its file is
    in; the address need not name a database. A restore that still runs is left alone. Raises
    `BadSetting`, `DatabaseError`, `AccessRefused`.
    """
    return kind_named(kind_of_url(url)).cleanup(url, before, password)


def capabilities(kind: str) -> Capabilities:
    """Return what `kind` can do. Raises `BadSetting` for a kind that is not known."""
    return kind_named(kind).capabilities


def default_jobs(kind: str, method: str) -> int:
    """Return how many connections load a backup of `kind` that `method` took, by default.

    It is 1 for a kind that is not known.
    """
    return capabilities(kind).default_jobs(method) if kind in ENTRIES else 1


def restore_features(kind: str) -> RestoreFeatures:
    """Return what restores of `kind` can do and how to ask for it. Raises `BadSetting`."""
    return capabilities(kind).features


def further_options() -> dict[str, str]:
    """Return the further options of restores of all kinds, each with its line of help.

    Imports no engine.
    """
    return {
        name: f"{entry.title}: {line}"
        for entry in ENTRIES.values()
        for name, line in entry.options.items()
    }


def member_check(kind: str, member: str) -> Filter | None:
    """Return the full check of `kind` for `member`, as `Engine.check`, without a database."""
    return kind_named(kind).check_member(member)


def listing(
    kind: str, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
) -> Listing:
    """Return what a backup's `members` say is in them; see `Kind.listing`."""
    return kind_named(kind).listing(members, read, expected)


def export(kind: str, open_stream: Callable[[str], Source], folder: Path) -> None:
    """Write a backup of `kind` into the empty `folder`; see `Kind.export`."""
    kind_named(kind).export(open_stream, folder)
