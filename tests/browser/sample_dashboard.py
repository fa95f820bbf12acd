"""A dashboard that was used for a while: what the tests of all pages look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.browser.dashboard import Dashboard
from tests.browser.samples import HOSTILE_NAME, LONG_NAME, POLLING_NAME, fill_postgres, fill_sqlite
from tests.support.postgres_server import PostgresServer, drop_databases

RESTORED = "shop_restored"


@dataclass(frozen=True, slots=True)
class LivedIn:
    """Ids of what there is: of PostgreSQL, of the folder of SQLite files, of what became of them.

    `failed` is a backup, and its job, of a database that is gone; `replaced` is the restore that
    took the place of what `restore` had made.
    """

    server: int
    folder: int
    job: int
    backup: str
    failed_job: int
    failed: str
    restore: str
    replaced: str


def live_in(dashboard: Dashboard, postgres: PostgresServer, folder: Path) -> LivedIn:
    fill_postgres(postgres, "shop")
    for name in (LONG_NAME, HOSTILE_NAME, POLLING_NAME, "gone"):
        postgres.create_database(name)
    fill_sqlite(folder / "till.sqlite")
    server = _add(dashboard, postgres.url("postgres"), "Main server", password_of(postgres))
    files = _add(dashboard, f"sqlite:///{folder}", "Tills")
    drop_databases(postgres, {"gone"})
    failed = dashboard.manage("backup", "Main server/gone")
    dashboard.manage("backup", f"Main server/{HOSTILE_NAME}")
    dashboard.manage("backup", "Tills/till.sqlite", "--note", "before the stocktaking")
    made = dashboard.manage("backup", "Main server/shop", "--wait", "--quiet")
    dashboard.manage("verify", made["id"], "--wait", "--quiet")
    restored = dashboard.manage("restore", made["id"], "--as", RESTORED, "--wait", "--quiet")
    place = ("--replace", f"Main server/{RESTORED}", "--confirm", RESTORED)
    replaced = dashboard.manage(
        "restore", made["id"], *place, "--no-safety-backup", "--wait", "--quiet"
    )
    return LivedIn(
        server=server,
        folder=files,
        job=made["job"],
        backup=made["id"],
        failed_job=failed["job"],
        failed=failed["backup"],
        restore=restored["restore"],
        replaced=replaced["restore"],
    )


def password_of(postgres: PostgresServer) -> Path:
    return postgres.directory / "password"


def _add(dashboard: Dashboard, address: str, name: str, password: Path | None = None) -> int:
    options = ["--password-file", str(password)] if password else []
    number: int = dashboard.manage("add_server", address, "--name", name, *options)["server"]
    return number
