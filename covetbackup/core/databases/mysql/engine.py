"""The engine of MySQL and MariaDB: chooses client programs, opens backup and restore sessions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSession,
    Probe,
    RestoreOptions,
    RestoreSession,
)
from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.mysql.backup import session
from covetbackup.core.databases.mysql.backup.dump import check_member
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace.replacement import MysqlReplacement
from covetbackup.core.databases.mysql.restore import new_database
from covetbackup.core.databases.mysql.restore.checks import check_new_database
from covetbackup.core.databases.mysql.restore.into_existing.checks import check_existing_database
from covetbackup.core.databases.mysql.restore.into_existing.data_only import DataOnlyRestore
from covetbackup.core.databases.mysql.restore.target import MysqlTarget
from covetbackup.core.databases.mysql.server.clients import Clients, choose_clients, find_clients
from covetbackup.core.databases.mysql.server.connection import connect, translated
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.settings import ConnectionSettings
from covetbackup.core.databases.restore_target import CheckInput
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.secret import Secret


class MysqlEngine:
    """An `Engine` for one database; its one method is "logical".

    `client_directories` replaces the usual places in which client programs are looked for.
    """

    kind = "mysql"
    methods = (session.METHOD,)

    def __init__(
        self,
        settings: ConnectionSettings,
        password: Secret | None = None,
        *,
        client_directories: Sequence[Path] = (),
    ) -> None:
        self._settings = settings
        self._password = password
        self._client_directories = client_directories

    def probe(self) -> Probe:
        with translated(self._settings), connect(self._settings, self._password) as connection:
            session.refuse_absent(connection)
            listing = list_tables(connection, self._settings.database)
            return session.probe_of(connection, self._clients(connection.version), listing)

    def backup(
        self, options: BackupOptions, progress: Progress
    ) -> AbstractContextManager[BackupSession]:
        """Also raises `Unreadable` on entry, naming what this account cannot dump."""
        if options.method not in ("", *self.methods):
            raise BadSetting(f"MySQL has no backup method {options.method!r}", "use logical")
        return session.LogicalBackup(
            self._settings, self._password, options, choose=self._clients, progress=progress
        )

    def restore(
        self, options: RestoreOptions, progress: Progress
    ) -> AbstractContextManager[RestoreSession]:
        """A scratch database whose tables the commit moves to the target's name.

        `options.target` is a `mysql://` address on this engine's server, whose database must not
        exist unless it is to be replaced. `options.extra` may hold `owner`, in whose name views,
        triggers, routines and events run: "keep" (the default: the original's definers), "none"
        (the restoring account) or an account as user@host; `globals`: True to create accounts
        that are missing, as far as they belong to the database; `binary_log`: False to keep the
        restore out of it; and `enable_events`: True to let those of a copy under another name run.
        Of a selection without structure the database must exist: rows are added to its tables in
        one transaction.
        """
        selection = options.selection
        rows_alone = selection is not None and not selection.with_structure
        if options.adds and not rows_alone:
            raise BadSetting(
                "a MySQL or MariaDB database that is there takes only rows", "use --data-only"
            )
        if selection is not None and rows_alone:
            return DataOnlyRestore(self._settings, self._password, options, selection, progress)
        return new_database.LogicalRestore(
            self._settings, self._password, options, choose=self._clients, progress=progress
        )

    def check_restore(self, wanted: CheckInput) -> list[Check]:
        check = check_existing_database if wanted.adds else check_new_database
        return check(self._settings, self._password, wanted)

    def target(self) -> MysqlTarget:
        return MysqlTarget(self._settings, self._password)

    def replacement(self) -> MysqlReplacement:
        return MysqlReplacement(self._settings, self._password)

    def check(self, member: str) -> Filter | None:
        return check_member(member)

    def _clients(self, server: Version) -> Clients:
        return choose_clients(find_clients(self._client_directories), server)
