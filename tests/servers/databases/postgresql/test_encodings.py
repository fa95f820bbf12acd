"""Databases in other encodings than UTF-8, and without one, with names and rows beyond ASCII."""

from __future__ import annotations

from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.archive.listing import ArchiveListing
from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.backup import parallel
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import DatabaseError
from tests.support.command_line import command_line
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Taken, engine_for, put_back, take
from tests.support.postgres_encoded import client, encoded, run_script

COPY = "copy_of_encoded"
CASES = [
    ("LATIN1", "latin-1", "pièce été"),
    ("EUC_JP", "euc-jp", "商品 日本"),
    ("SQL_ASCII", "utf-8", "été"),
    ("SQL_ASCII", "latin-1", "été"),
    ("SQL_ASCII", "euc-jp", "商品"),
]
SCRIPT = """
CREATE SCHEMA "s {0}";
CREATE TABLE "s {0}"."{0}" ("c {0}" text PRIMARY KEY, number serial);
INSERT INTO "s {0}"."{0}" SELECT '{0} ' || g FROM generate_series(1, 100) g;
COMMENT ON TABLE "s {0}"."{0}" IS '{0}';
CREATE VIEW "v {0}" AS SELECT * FROM "s {0}"."{0}";
CREATE TYPE "t {0}" AS ENUM ('{0}');
CREATE FUNCTION "f {0}"() RETURNS text LANGUAGE sql AS $$ SELECT '{0}'::text $$;
CREATE INDEX "i {0}" ON "s {0}"."{0}" (number);
"""


@pytest.mark.parametrize("child_from", [1, 1 << 40], ids=["psql", "own connections"])
@pytest.mark.parametrize(("encoding", "codec", "text"), CASES)
def test_it_comes_back_byte_for_byte(
    postgres_tidy: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    codec: str,
    text: str,
    child_from: int,
) -> None:
    monkeypatch.setattr(parallel, "PSQL_MIN_BYTES", child_from)
    server, name = postgres_tidy, encoded(postgres_tidy, encoding)
    run_script(server, name, encoding, SCRIPT.format(text).encode(codec))
    taken = take(engine_for(server, name))
    restored = put_back(engine_for(server, name), taken, server.url(COPY), jobs=2)
    assert taken.outcome.method == "parallel"
    assert differences(taken.inventory, restored) == []
    (table,) = taken.inventory.tables
    assert encoding == "SQL_ASCII" or table.label == f"s {text}.{text}"
    resolved = listing(taken).resolve(Selection(schemas=(table.schema,)))
    assert resolved.restrict(taken.inventory).tables == (table,)
    assert text.encode(codec) in dumped(server, COPY)
    assert dumped(server, COPY) == dumped(server, name)


def listing(taken: Taken) -> ArchiveListing:
    sizes = {name: len(it) for name, it in taken.members.items()}
    return ArchiveListing(taken.members[HEAD], sizes, taken.inventory)


def test_a_table_is_chosen_by_its_name(postgres_tidy: PostgresServer, tmp_path: Path) -> None:
    line, server = command_line(tmp_path), postgres_tidy
    name = encoded(server, "LATIN1")
    run_script(server, name, "LATIN1", SCRIPT.format("été").encode("latin-1"))
    repository, password = line.local_repository(), line.file("pw", server.password.reveal())
    access = ["--password-file", password, "--key-file", "working.key"]
    line.run("backup", server.url(name), "--repo", repository, *access)
    wish = ["--as", server.url(COPY), "--table", "s été.été", "--jobs", "2"]
    line.run("restore", repository, "latest", *wish, *access)
    assert server.rows(COPY, 'SELECT count(*) FROM "s été"."été"') == [(100,)]


def test_names_without_an_encoding_are_shown_as_what_they_most_likely_are(
    postgres_tidy: PostgresServer,
) -> None:
    for codec in ("utf-8", "latin-1"):
        name = encoded(postgres_tidy, "SQL_ASCII")
        script = 'CREATE TABLE "été" (a int)'.encode(codec)
        run_script(postgres_tidy, name, "SQL_ASCII", script)
        (table,) = take(engine_for(postgres_tidy, name)).inventory.tables
        assert table.label == "public.été"
        postgres_tidy.execute("postgres", f"DROP DATABASE {name}")


def test_a_name_that_another_database_left_is_said(
    postgres_tidy: PostgresServer, postgres_database: str
) -> None:
    other = encoded(postgres_tidy, "SQL_ASCII")
    comment = f"COMMENT ON DATABASE {postgres_database} IS 'été'"
    run_script(postgres_tidy, other, "SQL_ASCII", comment.encode("latin-1"))
    with pytest.raises(DatabaseError, match="not in its own encoding"):
        take(engine_for(postgres_tidy, postgres_database))


def dumped(server: PostgresServer, database: str) -> bytes:
    """All that pg_dump writes but for a key that is another one each time."""
    lines = client(server, "pg_dump", database).splitlines()
    return b"\n".join(
        line for line in lines if not line.startswith((b"\\restrict", b"\\unrestrict"))
    )
