"""What goes into a backup comes out of a restore, whatever it is and is called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.restore.analyze import Analysis
from covetbackup.core.databases.postgresql.server.url import to_url
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.pump import drain
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import (
    Notes,
    contents,
    engine_for,
    fill_richly,
    put_back,
    schema_of,
    take,
)
from tests.support.streams import source_of

NASTY_NAMES = [
    "host=127.0.0.9 port=1",
    "postgresql://x",
    'it\'s "quoted" \\ back\nnew\tline %41 $(id); `id`',
    "--dbname=émoji 🐘",
    "x" * 63,
]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_rich_database_comes_back_equal(
    postgres_server: PostgresServer, postgres_database: str, jobs: int
) -> None:
    fill_richly(postgres_server, postgres_database)
    copy = f"{postgres_database}_copy"
    engine = engine_for(postgres_server, postgres_database)
    taken = take(engine)
    restored = put_back(engine, taken, postgres_server.url(copy), jobs=jobs)
    assert differences(taken.inventory, restored) == []
    assert contents(postgres_server, copy) == contents(postgres_server, postgres_database)
    analyzed = "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'customer'"
    assert postgres_server.rows(copy, analyzed) == [(True,)]
    assert schema_of(postgres_server, copy) == schema_of(postgres_server, postgres_database)
    assert taken.outcome.warnings == ()


def test_a_host_may_be_written_in_capitals(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(postgres_database, "CREATE TABLE t AS SELECT 7 AS i")
    settings = replace(postgres_server.settings(postgres_database), host="LocalHost")
    engine, copy = PostgresEngine(settings, postgres_server.password), f"{postgres_database}_copy"
    put_back(engine, take(engine), to_url(settings.on(copy)))
    assert contents(postgres_server, copy) == contents(postgres_server, postgres_database)


def test_the_inventory_counts_each_row_once(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    fill_richly(postgres_server, postgres_database)
    inventory = take(engine_for(postgres_server, postgres_database)).inventory
    rows = {table.label: table.rows for table in inventory.tables}
    assert rows["public.sale"] is None
    assert rows["public.sale_1"] == 366
    assert rows["public.sale_2_rest"] == 335
    assert rows["public.parent"] == 1
    assert rows["public.child"] == 2
    assert rows["public.secret"] == 2
    # Rows of these two may change places in a restore; their sum may not.
    assert (rows["public.by_mood"], rows["public.by_mood_0"]) == (90, None)
    values = {sequence.label: sequence.value for sequence in inventory.sequences}
    assert values["public.used"] == 42
    assert values["public.never_used"] is None
    assert inventory.large_objects == 3
    assert inventory.objects is not None
    assert inventory.objects["materialized view"] == 3
    assert inventory.objects["policy"] == 1


def test_an_empty_database_comes_back_empty(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    engine = engine_for(postgres_server, postgres_database)
    taken = take(engine)
    restored = put_back(engine, taken, postgres_server.url("empty_copy"))
    assert differences(taken.inventory, restored) == []
    assert restored.tables == ()
    assert "empty_copy" in postgres_server.databases()


def test_a_database_of_large_objects_only_comes_back(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database, "SELECT lo_from_bytea(g, 'x'::bytea) FROM generate_series(1, 20) g"
    )
    engine = engine_for(postgres_server, postgres_database)
    taken = take(engine)
    put_back(engine, taken, postgres_server.url("lo_copy"))
    assert taken.inventory.large_objects == 20
    assert contents(postgres_server, "lo_copy") == contents(postgres_server, postgres_database)


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_a_nasty_name_survives(
    postgres_server: PostgresServer, postgres_role: Callable[..., PostgresRole], name: str
) -> None:
    """One name for database, role, schema and table; restored to another nasty name."""
    role = postgres_role("SUPERUSER", name=name)
    quoted = '"' + name.replace('"', '""') + '"'
    postgres_server.create_database(name, f"OWNER {quoted}")
    with postgres_server.connect(name, role=role) as connection:
        for statement in (
            f"CREATE SCHEMA {quoted}",
            f"CREATE TABLE {quoted}.{quoted} ({quoted} text)",
            f"INSERT INTO {quoted}.{quoted} VALUES ('v')",
            f"CREATE SEQUENCE {quoted}.s",
        ):
            connection.execute(statement.encode())
    engine = engine_for(postgres_server, name, role)
    taken = take(engine)
    target = name[:-1] + "z"
    put_back(engine, taken, postgres_server.url(target, role.name))
    assert [table.name for table in taken.inventory.tables] == [name]
    assert contents(postgres_server, target) == contents(postgres_server, name)
    assert name in taken.inventory.roles


def test_the_databases_own_properties_come_back(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    owner, guest = postgres_role(), postgres_role()
    name = postgres_database
    postgres_server.execute(
        name,
        f'ALTER DATABASE {name} SET search_path TO "$user", public, "Odd ""name"',
        f"ALTER DATABASE {name} SET work_mem = '7MB'",
        f"ALTER ROLE {guest.name} IN DATABASE {name} SET work_mem = '9MB'",
        f"COMMENT ON DATABASE {name} IS 'it''s the shop'",
        f"ALTER DATABASE {name} OWNER TO {owner.name}",
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {guest.name} WITH GRANT OPTION",
        f"ALTER DATABASE {name} CONNECTION LIMIT 17",
    )
    engine = engine_for(postgres_server, name)
    put_back(engine, take(engine), postgres_server.url("twin"))
    query = (
        "SELECT datdba::regrole::text, datacl::text, datconnlimit,"
        " shobj_description(oid, 'pg_database'),"
        " (SELECT string_agg(setrole::text || setconfig::text, ';' ORDER BY setrole)"
        " FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        " FROM pg_database d WHERE datname = '{}'"
    )
    assert postgres_server.rows("postgres", query.format("twin")) == postgres_server.rows(
        "postgres", query.format(name)
    )


def test_encoding_and_collation_come_back(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.create_database("latin", "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    postgres_server.execute("latin", "CREATE TABLE \"tê\" AS SELECT 'é'::text AS v")
    engine = engine_for(postgres_server, "latin")
    taken = take(engine)
    put_back(engine, taken, postgres_server.url("latin_copy"))
    query = (
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
        " WHERE datname = 'latin_copy'"
    )
    assert postgres_server.rows("postgres", query) == [("LATIN1", "C", "C")]
    assert contents(postgres_server, "latin_copy") == contents(postgres_server, "latin")


def test_an_icu_locale_comes_back(postgres_server: PostgresServer, postgres_database: str) -> None:
    options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'"
    try:
        postgres_server.create_database("icu", options)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.SyntaxError):
        pytest.skip("this server is older than version 15 or built without ICU")
    engine = engine_for(postgres_server, "icu")
    taken = take(engine)
    put_back(engine, taken, postgres_server.url("icu_copy"))
    again = take(engine_for(postgres_server, "icu_copy")).inventory.settings
    assert taken.inventory.settings is not None
    assert again is not None
    for name in ("locale_provider", "locale", "collation", "encoding"):
        assert again[name] == taken.inventory.settings[name]


def test_a_backup_beside_transfers_keeps_their_sum(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE a AS SELECT g AS id, 100 AS money FROM generate_series(1, 20000) g",
        "CREATE TABLE b AS SELECT g AS id, 100 AS money FROM generate_series(1, 20000) g",
        "CREATE TABLE log (at timestamptz)",
    )
    finished = threading.Event()

    def transfer() -> None:
        with postgres_server.connect(postgres_database) as connection:
            while not finished.is_set():
                with connection.transaction():
                    connection.execute("UPDATE a SET money = money - 7 WHERE id % 100 = 5")
                    connection.execute("INSERT INTO log VALUES (now())")
                    connection.execute("UPDATE b SET money = money + 7 WHERE id % 100 = 5")

    writer = threading.Thread(target=transfer)
    writer.start()
    try:
        engine = engine_for(postgres_server, postgres_database)
        taken = take(engine)
    finally:
        finished.set()
        writer.join()
    restored = put_back(engine, taken, postgres_server.url("sums"))
    assert differences(taken.inventory, restored) == []
    total = "SELECT (SELECT sum(money) FROM a) + (SELECT sum(money) FROM b)"
    assert postgres_server.rows("sums", total) == [(4_000_000,)]


def test_the_full_check_accepts_a_whole_dump_and_refuses_every_cut(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database, "CREATE TABLE t AS SELECT g FROM generate_series(1, 3000) g"
    )
    engine = engine_for(postgres_server, postgres_database)
    dump = take(engine, method="logical").members["dump.pgc"]
    check = engine.check("dump.pgc")
    assert check is not None
    drain(source_of([dump]), [check])
    for length in (0, 3, 100, len(dump) // 2, len(dump) - 1):
        with pytest.raises(Incomplete):
            drain(source_of([dump[:length]]), [check])


def test_rows_its_own_role_may_not_see_are_restored_and_remarked(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    restorer, notes = postgres_role("CREATEDB"), Notes()
    fill_guarded = (
        "CREATE TABLE guarded AS SELECT g FROM generate_series(1, 9) g",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE guarded FORCE ROW LEVEL SECURITY",
    )
    postgres_server.execute(postgres_database, *fill_guarded)
    taken = take(engine_for(postgres_server, postgres_database))
    target = postgres_server.url("guarded_copy", restorer.name)
    engine = engine_for(postgres_server, "guarded_copy", restorer)
    put_back(engine, taken, target, owner="none", progress=notes)
    assert notes.lines == ["1 tables could not be counted: public.guarded"]
    assert postgres_server.rows("guarded_copy", "SELECT count(*) FROM guarded") == [(9,)]


def test_rows_without_an_encoding_come_back(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.create_database("bytes", "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    postgres_server.execute("bytes", "CREATE TABLE t AS SELECT E'\\xff'::text AS v")
    engine = engine_for(postgres_server, "bytes")
    put_back(engine, take(engine), postgres_server.url("bytes_copy"))
    value = "SELECT v::bytea FROM t"
    assert postgres_server.rows("bytes_copy", value) == [(b"\xff",)]


def test_every_table_is_analyzed_by_as_many_connections_as_load(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    tables = [f"CREATE TABLE t{n} AS SELECT generate_series(1, 500) AS g" for n in range(12)]
    postgres_server.execute(
        postgres_database,
        *tables,
        "CREATE TABLE whole (g int) PARTITION BY RANGE (g)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (1000)",
        "INSERT INTO whole SELECT generate_series(1, 500)",
    )
    engine, copy = engine_for(postgres_server, postgres_database), f"{postgres_database}_copy"
    put_back(engine, take(engine), postgres_server.url(copy), jobs=3)
    query = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'public'"
    analyzed = {name for (name,) in postgres_server.rows(copy, query)}
    assert analyzed == {"whole", "part", *(f"t{n}" for n in range(12))}


def test_the_biggest_table_is_analyzed_first_though_its_rows_lie_in_partitions(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE plain AS SELECT generate_series(1, 2000) g",
        "CREATE TABLE parted (g int) PARTITION BY HASH (g)",
        "CREATE TABLE part_a PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE part_b PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO parted SELECT generate_series(1, 3000)",
    )
    after_one = iter((False, True))
    with postgres_server.connect(postgres_database) as connection:
        Analysis()(connection, lambda: next(after_one))
    query = "SELECT tablename FROM pg_stats WHERE schemaname = 'public' ORDER BY 1"
    analyzed = postgres_server.rows(postgres_database, query)
    assert analyzed == [("part_a",), ("part_b",), ("parted",)]
