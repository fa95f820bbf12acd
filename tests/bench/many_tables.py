"""One table of two thousand: how much of the backup, and of the time of all of it, it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covetbackup.core.crypto.keyring import new_keys, write_new_keys
from tests.bench import report
from tests.bench.measure import Size, new_repository, own_job, work_folder
from tests.support.postgres_server import (
    PostgresServer,
    drop_databases,
    postgres_binaries,
    run_server,
)

_DATABASE, _RESTORED = "many", "many_restored"
_TABLES, _ROWS = 2000, 300


def run(size: Size) -> None:
    tables = _TABLES // 10 if size.quick else _TABLES
    with work_folder(1 << 30) as folder, run_server(postgres_binaries()[-1]) as server:
        _fill(server, tables)
        settings = _back_up(server, folder)
        whole = _restore(server, settings)
        one = _restore(server, settings, table="public.t7")
        share = 100 * one / whole
        report.note(f"{tables} tables restored in {whole:.2f} s, one of them in {one:.2f} s:")
        report.note(f"{share:.1f} % of the time  (target <= 5 % with {_TABLES} tables)")


def _fill(server: PostgresServer, tables: int) -> None:
    server.create_database(_DATABASE)
    for number in range(tables):
        server.execute(
            _DATABASE,
            f"CREATE TABLE t{number} AS SELECT g AS id, repeat(md5(g::text), 20) AS filler"
            f" FROM generate_series(1, {_ROWS}) g",
        )


def _back_up(server: PostgresServer, folder: Path) -> dict[str, Any]:
    key_file = folder / "working.key"
    write_new_keys(new_keys(), key_file, folder / "recovery.key")
    settings = {
        "password": server.password.reveal(),
        "repository": new_repository(folder / "repository"),
        "key_file": key_file,
    }
    backup = own_job("back_up", source=server.url(_DATABASE), **settings)
    assert backup.facts is not None
    return {**settings, "label": backup.facts["label"]}


def _restore(server: PostgresServer, settings: dict[str, Any], table: str = "") -> float:
    drop_databases(server, {_RESTORED})
    return own_job("restore", target=server.url(_RESTORED), table=table, **settings).seconds
