"""From an address to its engine: the one place that knows which database kinds there are.

Kinds are imported when asked for, so that a SQLite backup needs no PostgreSQL driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from covetbackup.core.databases.base import Engine
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore_target import RestoreFeatures, Switch
from covetbackup.core.databases.selection import Listing
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """A database address taken apart: the engine behind it, where it is, what it is called."""

    engine: Engine
    where: str
    database: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What has to be known of a kind of database before one is opened. `usual_port` is 0 for kinds
    whose databases are files in a folder. `entered_by` is the database that one must log in to for
    asking a server anything, "" where none is needed."""

    usual_port: int = 0
    entered_by: str = ""

    @property
    def is_in_files(self) -> bool:
        return self.usual_port == 0


KINDS = {
    "postgresql": Kind(5432, "postgres"),
    "mysql": Kind(3306),
    "sqlite": Kind(),
}


def open_address(url: str, password: Secret | None = None) -> Address:
    """The engine for `postgresql://user@host:port/database`, the same with `mysql` or `mariadb`,
    or `sqlite:////absolute/path`.

    Opens no connection. Raises `BadSetting` for any other form, or a password in the address.
    """
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url, password)
    if scheme in ("mysql", "mariadb"):
        return _mysql(url, password)
    if scheme == "sqlite":
        return _sqlite(url)
    raise BadSetting(
        f"{scheme[:40]!r} is not a database kind known here",
        "addresses begin with postgresql://, mysql://, mariadb:// or sqlite:///",
    )


def is_address(url: str) -> bool:
    """Return whether `url` has the scheme of a database address."""
    return url.partition(":")[0] in ("postgresql", "postgres", "mysql", "mariadb", "sqlite")


def sweep_restores(url: str, before: datetime, password: Secret | None = None) -> list[str]:
    """Remove what restores begun before `before` (aware) and killed left on the server of `url`, or
    in the folder that a `sqlite:` address names or its file is in; return the names.

    The address need not name a database. A restore that still runs is left alone. Raises
    `BadSetting`, `DatabaseError`, `AccessRefused`.
    """
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        from covetbackup.core.databases.postgresql.restore import scratch
        from covetbackup.core.databases.postgresql.server.url import parse_url

        entered = _with_database(url, KINDS["postgresql"].entered_by)
        return scratch.sweep_scratch(parse_url(entered), before, password)
    if scheme in ("mysql", "mariadb"):
        from covetbackup.core.databases.mysql.restore import scratch as mysql_scratch
        from covetbackup.core.databases.mysql.server.url import parse_server

        return mysql_scratch.sweep_scratch(parse_server(url), before, password)
    from covetbackup.core.databases.sqlite.restore.staging import sweep_folder
    from covetbackup.core.databases.sqlite.server.url import parse_url as parse_path

    return sweep_folder(parse_path(url.rstrip("/")), before)


def _with_database(url: str, database: str) -> str:
    """Return the address `url` with `database` where it names none."""
    server, mark, parameters = url.partition("?")
    place = server.partition("://")[2]
    if "/" not in place:
        server += "/"
    return server + (database if server.endswith("/") else "") + mark + parameters


def default_jobs(kind: str, method: str) -> int:
    """How many connections load a backup of `kind`, taken by `method`, unless somebody says: two
    if it is stored so that each reads its own parts, one where several would need all of it on
    this machine's disk first, or only one is possible."""
    return 2 if (kind, method) in _STORED_IN_PARTS else 1


_STORED_IN_PARTS = (("postgresql", "parallel"), ("mysql", "logical"))


def restore_features(kind: str) -> RestoreFeatures:
    """Return what restores of `kind` can do and how to ask for it."""
    if kind == "postgresql":
        from covetbackup.core.databases.postgresql.restore.features import FEATURES

        return FEATURES
    if kind == "mysql":
        from covetbackup.core.databases.mysql.restore.features import FEATURES as MYSQL_FEATURES

        return MYSQL_FEATURES
    if kind == "sqlite":
        from covetbackup.core.databases.sqlite.restore.features import FEATURES as SQLITE_FEATURES

        return SQLITE_FEATURES
    raise BadSetting(f"{kind!r} is not a database kind known here", "update CovetBackup?")


def all_switches() -> list[Switch]:
    """Return the further choices of all kinds."""
    return [switch for kind in KINDS for switch in restore_features(kind).switches]


def member_check(kind: str, member: str) -> Filter | None:
    """The full check of `kind` for `member`, as `Engine.check`, without a database."""
    if kind == "postgresql":
        from covetbackup.core.databases.postgresql.archive.check import check_member

        return check_member(member)
    if kind == "mysql":
        from covetbackup.core.databases.mysql.backup.dump import check_member as check_dump

        return check_dump(member)
    if kind == "sqlite":
        from covetbackup.core.databases.sqlite.archive.integrity import check_stream
        from covetbackup.core.databases.sqlite.engine import MEMBER

        return partial(check_stream, staging=None) if member == MEMBER else None
    raise BadSetting(f"{kind!r} is not a database kind known here", "update CovetBackup?")


def listing(
    kind: str, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
) -> Listing:
    """What a backup's `members` (name and plain size) say is in them; `read` gives one of them
    whole, `expected` is the backup's inventory. Raises `BadSetting` for kinds of which only all can
    be restored."""
    if kind == "postgresql":
        from covetbackup.core.databases.postgresql.archive.listing import (
            ArchiveListing,
            listing_member,
        )

        return ArchiveListing(read(listing_member(members)), members, expected)
    if kind == "mysql":
        from covetbackup.core.databases.mysql.archive.members import MAP, PROGRAMS, SCHEMA
        from covetbackup.core.databases.mysql.archive.selection import Listing as DumpListing

        return DumpListing(read(MAP), read(SCHEMA), read(PROGRAMS))
    raise BadSetting(f"backups of kind {kind!r} are restored whole: there is nothing to choose")


def export(kind: str, open_stream: Callable[[str], Source], folder: Path) -> None:
    """Write a backup of `kind` into the empty `folder` in a form of several files that its stock
    programs know. Raises `BadSetting` for kinds that have none."""
    if kind != "postgresql":
        raise BadSetting(f"a backup of kind {kind!r} has no form of several files", "use cat")
    from covetbackup.core.databases.postgresql.archive.directory import export_directory
    from covetbackup.core.databases.postgresql.archive.member_names import DUMP

    with open_stream(DUMP) as chunks:
        export_directory(chunks, folder)


def _postgresql(url: str, password: Secret | None) -> Address:
    from covetbackup.core.databases.postgresql.engine import PostgresEngine
    from covetbackup.core.databases.postgresql.server.url import parse_url

    settings = parse_url(url)
    where = f"{settings.host}:{settings.port}"
    return Address(PostgresEngine(settings, password), where, settings.database)


def _mysql(url: str, password: Secret | None) -> Address:
    from covetbackup.core.databases.mysql.engine import MysqlEngine
    from covetbackup.core.databases.mysql.server.url import parse_url

    settings = parse_url(url)
    return Address(MysqlEngine(settings, password), settings.where, settings.database)


def _sqlite(url: str) -> Address:
    from covetbackup.core.databases.sqlite.engine import SqliteEngine
    from covetbackup.core.databases.sqlite.server.url import parse_url

    path = parse_url(url)
    return Address(SqliteEngine(path), str(path.parent), path.name)
