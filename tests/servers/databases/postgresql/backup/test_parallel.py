"""A dump in parts is what pg_dump's own would be: for pg_restore, and for our restore."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.archive import copy_streams
from covetbackup.core.databases.postgresql.backup import parallel, plan, psql
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.pump import drain
from tests.support.postgres import PostgresServer, drop_databases
from tests.support.postgres_backup import (
    Notes,
    Taken,
    contents,
    engine_for,
    fill_richly,
    put_back,
    schema_of,
    take,
)
from tests.support.streams import source_of

CHUNK = 24_000


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """A little data makes many parts, and a small table is big enough for a child of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SMALLEST_PART_BYTES", CHUNK)
        patch.setattr(plan, "LARGEST_PART_BYTES", CHUNK)
        patch.setattr(plan, "TASK_COST_BYTES", 500)
        patch.setattr(parallel, "PSQL_MIN_BYTES", 40_000)
        patch.setattr(copy_streams, "_OBJECT_PIECE", 100_000)
        yield


@pytest.fixture(scope="module")
def rich(postgres_server: PostgresServer) -> Iterator[str]:
    name = postgres_server.create_database("rich_parts")
    fill_richly(postgres_server, name)
    yield name
    drop_databases(postgres_server, {name})


@pytest.fixture(scope="module")
def taken(postgres_server: PostgresServer, rich: str) -> Taken:
    return take(engine_for(postgres_server, rich), streams=4)


@pytest.fixture(scope="module")
def stock(postgres_server: PostgresServer, rich: str) -> Iterator[str]:
    """What pg_dump and pg_restore make of the same database."""
    name = postgres_server.create_database("stock")
    programs = postgres_server.binaries
    script = f"set -o pipefail; {programs}/pg_dump -Fc {rich} | {programs}/pg_restore -e -d {name}"
    subprocess.run(["bash", "-c", script], env=environment(postgres_server), check=True)
    yield name
    drop_databases(postgres_server, {name})


@pytest.fixture(autouse=True)
def tidy(taken: Taken, stock: str, postgres_tidy: PostgresServer) -> None:
    """Whatever a test restores goes when it ends."""


def environment(server: PostgresServer) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password.reveal(),
    }


def test_tables_are_cut_and_small_ones_share_parts(taken: Taken) -> None:
    assert taken.outcome.method == "parallel"
    assert 10 < len(taken.members) < 60
    assert list(taken.members)[-1] == "dump.pgc.0000"


@pytest.mark.parametrize("jobs", [1, 3])
def test_our_restore_equals_the_stock_one(
    postgres_server: PostgresServer, rich: str, taken: Taken, stock: str, jobs: int
) -> None:
    url = postgres_server.url("ours")
    restored = put_back(engine_for(postgres_server), taken, url, jobs=jobs)
    assert differences(taken.inventory, restored) == []
    assert contents(postgres_server, "ours") == contents(postgres_server, stock)
    assert contents(postgres_server, "ours") == contents(postgres_server, rich)
    assert schema_of(postgres_server, "ours") == schema_of(postgres_server, stock)


@pytest.mark.parametrize("way", ["--jobs=2", "--jobs=1", "pipe"])
def test_pg_restore_loads_the_joined_parts(
    postgres_server: PostgresServer, taken: Taken, stock: str, tmp_path: Path, way: str
) -> None:
    (tmp_path / "dump").write_bytes(taken.archive)
    (tmp_path / "dump").chmod(0o644)
    pg_restore = f"{postgres_server.binaries}/pg_restore --exit-on-error -d by_stock"
    script = f"cat {tmp_path}/dump | {pg_restore}"
    if way != "pipe":
        script = f"{pg_restore} {way} {tmp_path}/dump"
    postgres_server.create_database("by_stock")
    subprocess.run(["bash", "-c", script], env=environment(postgres_server), check=True)
    assert contents(postgres_server, "by_stock") == contents(postgres_server, stock)
    assert schema_of(postgres_server, "by_stock") == schema_of(postgres_server, stock)


def test_pg_restore_lists_and_reads_all_of_it(
    postgres_server: PostgresServer, rich: str, taken: Taken, tmp_path: Path
) -> None:
    (tmp_path / "dump").write_bytes(taken.archive)
    listing = postgres_server.tool("pg_restore", "-l", str(tmp_path / "dump"))
    whole = take(engine_for(postgres_server, rich), method="logical").members["dump.pgc"]
    (tmp_path / "whole").write_bytes(whole)
    other = postgres_server.tool("pg_restore", "-l", str(tmp_path / "whole"))
    assert entries(listing) == entries(other)
    postgres_server.tool("pg_restore", "-f", "/dev/null", str(tmp_path / "dump"))


def entries(listing: str) -> list[str]:
    return [line for line in listing.splitlines() if not line.startswith(";")]


def test_the_full_check_accepts_the_whole_and_refuses_every_cut(
    postgres_server: PostgresServer, taken: Taken
) -> None:
    check = engine_for(postgres_server).check("dump.pgc")
    assert check is not None
    archive = taken.archive
    drain(source_of([archive]), [check])
    head = len(taken.members["dump.pgc.0000"])
    for end in (head, (head + len(archive)) // 2, len(archive) - 1):
        with pytest.raises(Incomplete):
            drain(source_of([archive[:end]]), [check])
    assert engine_for(postgres_server).check("dump.pgc.0001") is None


def test_it_works_without_psql(
    postgres_server: PostgresServer, rich: str, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some bundles of PostgreSQL come without it."""
    monkeypatch.setattr(psql, "CommandSource", None)
    with monkeypatch.context() as patch:
        patch.setattr(
            "covetbackup.core.databases.postgresql.server.clients.PostgresClients.has_psql", False
        )
        without = take(engine_for(postgres_server, rich))
    assert len(without.archive) > CHUNK
    put_back(engine_for(postgres_server), without, postgres_server.url("without"), jobs=2)
    assert contents(postgres_server, "without") == contents(postgres_server, rich)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((9, 5), "form"),  # as it will be in a version to come
        ((6, 99), "archive version 1.99 is not supported"),
    ],
)
def test_an_unknown_archive_is_dumped_as_one_stream_with_the_reason(
    postgres_server: PostgresServer,
    rich: str,
    stock: str,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[int, int],
    reason: str,
) -> None:
    from covetbackup.core.databases.postgresql.backup import pgdump

    known = pgdump.read_contents

    def changed(data: bytes) -> object:
        place, value = change
        return known(data[:place] + bytes([value]) + data[place + 1 :])

    monkeypatch.setattr(pgdump, "read_contents", changed)
    notes = Notes()
    fallback = take(engine_for(postgres_server, rich), notes)
    assert fallback.outcome.method == "logical"
    assert set(fallback.members) == {"globals.sql", "dump.pgc"}
    assert any(reason in line for line in notes.lines)
    assert any("one stream" in line for line in fallback.outcome.warnings)
    put_back(engine_for(postgres_server), fallback, postgres_server.url("fell_back"))
    assert contents(postgres_server, "fell_back") == contents(postgres_server, stock)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_text_is_carried_as_it_is_stored(postgres_server: PostgresServer, encoding: str) -> None:
    """Nothing is converted: SQL_ASCII holds what no encoding has."""
    odd = {"LATIN1": "größe", "SQL_ASCII": "size", "EUC_JP": "大きさ"}[encoding]
    source = postgres_server.create_database(
        f"coded_{encoding.lower()}",
        f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    fill_coded(postgres_server, source, odd, encoding)
    before = raw_rows(postgres_server, source, odd, encoding)
    taken = take(engine_for(postgres_server, source))
    assert taken.outcome.method == "parallel" and len(taken.members) > 4
    target = f"copy_{encoding.lower()}"
    put_back(engine_for(postgres_server), taken, postgres_server.url(target), jobs=2)
    assert raw_rows(postgres_server, target, odd, encoding) == before
    assert b"\xf6" in before or encoding != "LATIN1"


def python_name(encoding: str) -> str:
    return {"LATIN1": "latin-1", "SQL_ASCII": "utf-8", "EUC_JP": "euc_jp"}[encoding]


def fill_coded(server: PostgresServer, database: str, name: str, encoding: str) -> None:
    with server.connect(database) as connection:
        connection.execute(f"SET client_encoding = '{encoding}'")  # type: ignore[call-overload]
        raw = name.encode(python_name(encoding), "surrogateescape")
        for statement in (
            b'CREATE TABLE "%s" ("%s" text, n int)' % (raw, raw),
            b"INSERT INTO \"%s\" SELECT '%s' || g, g FROM generate_series(1, 9000) g"
            % (raw, b"gr\xf6\xdfe" if encoding == "SQL_ASCII" else raw),
        ):
            connection.execute(statement)


def raw_rows(server: PostgresServer, database: str, name: str, encoding: str) -> bytes:
    raw = name.encode(python_name(encoding), "surrogateescape")
    with server.connect(database) as connection:
        connection.execute(f"SET client_encoding = '{encoding}'")  # type: ignore[call-overload]
        cursor = connection.cursor()
        with cursor.copy(b'COPY (SELECT * FROM "%s" ORDER BY n) TO STDOUT' % raw) as copy:
            return b"".join(bytes(piece) for piece in copy)


def test_a_databases_own_settings_change_no_value(postgres_server: PostgresServer) -> None:
    source = postgres_server.create_database("of_taste")
    postgres_server.execute(
        source,
        "ALTER DATABASE of_taste SET DateStyle = 'SQL, DMY'",
        "ALTER DATABASE of_taste SET IntervalStyle = 'sql_standard'",
        "ALTER DATABASE of_taste SET extra_float_digits = -10",
        "ALTER DATABASE of_taste SET bytea_output = 'escape'",
        "ALTER DATABASE of_taste SET default_transaction_read_only = on",
        "ALTER DATABASE of_taste SET search_path = nowhere",
    )
    with postgres_server.connect(source) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("SET search_path = public")
        connection.execute(
            "CREATE TABLE t AS SELECT date '2026-02-03' AS d, interval '-1 day +02:03' AS i,"
            " pi() / 7 AS f, 'public.t2'::text AS r, '\\x00ff'::bytea AS b FROM"
            " generate_series(1, 3000)"
        )
    before = contents(postgres_server, source)
    taken = take(engine_for(postgres_server, source))
    put_back(engine_for(postgres_server), taken, postgres_server.url("of_taste_2"), jobs=2)
    assert contents(postgres_server, "of_taste_2") == before


def test_an_extensions_rows_are_filtered_as_it_says(postgres_server: PostgresServer) -> None:
    """The condition is nowhere in the table of contents."""
    source = postgres_server.create_database("extended")
    postgres_server.execute(
        source,
        "CREATE TABLE rules AS SELECT g AS id, repeat('x', 300) AS t"
        " FROM generate_series(1, 400) g",
        "ALTER EXTENSION plpgsql ADD TABLE rules",
        "UPDATE pg_extension SET extconfig = ARRAY['rules'::regclass::oid],"
        " extcondition = ARRAY['WHERE id > 390'] WHERE extname = 'plpgsql'",
    )
    taken = take(engine_for(postgres_server, source))
    assert taken.archive.count(b"x" * 300) == 10
    assert taken.rows["public.rules"] == 10
