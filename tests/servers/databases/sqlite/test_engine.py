"""Every shape of SQLite database goes through each method and back unchanged."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import SequenceFacts, TableFacts, differences
from covetbackup.core.databases.sqlite.engine import Method, SqliteEngine
from covetbackup.core.databases.sqlite.server.fd_cache import shared_descriptor
from tests.support.sqlite import create_bank, read_image, restore_image

NASTY = ['quo"te', "apo'strophe", "semi;colon --", "line\nend", "🐘 emoji", "", "-dash", "a" * 63]


def _only_schema(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE t (a)")
    db.execute("CREATE VIEW v AS SELECT a FROM t")
    db.execute("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END")


def _full_text(db: sqlite3.Connection) -> None:
    db.execute("CREATE VIRTUAL TABLE article USING fts5(title, body)")
    db.executemany(
        "INSERT INTO article VALUES (?, ?)", [(f"t{n}", "word " * n) for n in range(200)]
    )


def _without_rowid(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE pair (k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    db.executemany("INSERT INTO pair VALUES (?, ?)", [(f"key {n}", n) for n in range(500)])
    db.execute("CREATE TABLE strict_one (n INT) STRICT")


def _nasty_names(db: sqlite3.Connection) -> None:
    for number, name in enumerate(NASTY):
        quoted = '"' + name.replace('"', '""') + '"'
        db.execute(f"CREATE TABLE {quoted} ({quoted} INTEGER)")
        db.executemany(f"INSERT INTO {quoted} VALUES (?)", [(n,) for n in range(number)])
        db.execute(f'CREATE INDEX {quoted[:-1]}_i" ON {quoted} ({quoted})')


def _blobs(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE blob (data)")
    db.executemany("INSERT INTO blob VALUES (randomblob(?))", [(n * 10_000,) for n in range(20)])


def _shrunk(db: sqlite3.Connection) -> None:
    _blobs(db)
    db.execute("DELETE FROM blob WHERE rowid > 10")
    db.execute("PRAGMA incremental_vacuum(50)").fetchall()


SHAPES: list[Callable[[sqlite3.Connection], None]] = [
    _only_schema, _full_text, _without_rowid, _nasty_names, _blobs, _shrunk,
]  # fmt: skip
# Each row varies several factors at once: a matrix, not a cross product.
MATRIX = [
    (512, "wal", "wal", 0), (512, "delete", "backup", 1), (1024, "wal", "vacuum", 2),
    (2048, "truncate", "copy", 0), (4096, "wal", "wal", 2), (8192, "persist", "backup", 0),
    (16384, "wal", "backup", 1), (32768, "wal", "copy", 0), (65536, "wal", "wal", 1),
    (65536, "delete", "vacuum", 0),
]  # fmt: skip


@pytest.mark.parametrize(("page_size", "journal", "method", "auto_vacuum"), MATRIX)
def test_every_shape_comes_back_as_it_was(
    tmp_path: Path, page_size: int, journal: str, method: str, auto_vacuum: int
) -> None:
    for shape in SHAPES:
        name = f"{shape.__name__}.db"
        with closing(sqlite3.connect(tmp_path / name, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size={page_size}")
            db.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
            db.execute(f"PRAGMA journal_mode={journal}")
            db.execute("PRAGMA synchronous=OFF")
            db.execute("BEGIN")
            shape(db)
            db.execute("COMMIT")
            # Only method 'copy' wants an empty log; the others must cope with a full one.
            if method == "copy" and journal == "wal":
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            image = tmp_path / f"{name}.image"
            outcome = read_image(
                SqliteEngine(tmp_path / name, staging=tmp_path), image, method=method
            )
        restored = restore_image(image, tmp_path / f"{name}.restored")
        assert differences(outcome.inventory, restored) == []
        assert all(table.exact for table in outcome.inventory.tables)
        assert (restored.settings or {})["page_size"] == str(page_size)
        assert _contents(tmp_path / f"{name}.restored") == _contents(tmp_path / name)
    assert not list(tmp_path.glob("covet-sqlite-*"))


@pytest.mark.parametrize("method", Method)
def test_an_empty_file_is_an_empty_database(tmp_path: Path, method: Method) -> None:
    source = tmp_path / "empty.db"
    source.touch()
    if method is Method.WAL:
        source = create_bank(tmp_path / "one.db")
        with closing(sqlite3.connect(source)) as db:
            db.executescript("DROP TABLE account; DROP TABLE transfer; DROP TABLE ballast; VACUUM;")
    outcome = read_image(SqliteEngine(source), tmp_path / "image", method=method)
    restored = restore_image(tmp_path / "image", tmp_path / "restored.db")
    assert outcome.inventory.tables == restored.tables == ()
    assert _contents(tmp_path / "restored.db") == _contents(source)
    if method is not Method.WAL:
        assert (tmp_path / "restored.db").stat().st_size == 0


def test_file_names_that_urls_and_shells_stumble_over_are_opened_as_they_are(
    tmp_path: Path,
) -> None:
    for name in ["-rf", "a?b#c%41", "quo'te\"s", "line\nend", "🐘", os.fsdecode(b"latin-\xe9")]:
        source = create_bank(tmp_path / name, rows=3)
        outcome = read_image(SqliteEngine(source), tmp_path / "image")
        restored = restore_image(tmp_path / "image", tmp_path / f"{name} restored")
        assert differences(outcome.inventory, restored) == []
        (tmp_path / "image").unlink()


def test_a_symbolic_link_leads_to_the_log_beside_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    bank = create_bank(tmp_path / "real" / "bank.db")
    (tmp_path / "link.db").symlink_to(bank)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("DELETE FROM ballast")
        outcome = read_image(SqliteEngine(tmp_path / "link.db"), tmp_path / "image")
    assert TableFacts("", "ballast", 0, exact=True) in outcome.inventory.tables


def test_the_inventory_names_tables_sequences_objects_and_settings(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as db:
        db.execute("PRAGMA user_version=7")
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name UNIQUE)")
        db.execute("CREATE VIEW names AS SELECT name FROM item")
        db.execute("CREATE VIRTUAL TABLE search USING fts5(word)")
        db.execute("INSERT INTO item (id, name) VALUES (41, 'last')")
    inventory = read_image(SqliteEngine(tmp_path / "one.db"), tmp_path / "image").inventory
    assert TableFacts("", "item", 1, exact=True) in inventory.tables
    assert inventory.sequences == (SequenceFacts("", "item", 41),)
    assert inventory.objects == {"index": 1, "view": 1, "virtual_table": 1}
    assert (inventory.settings or {})["user_version"] == "7"


def test_above_the_budget_small_tables_are_counted_and_large_ones_estimated(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "one.db")) as db:
        db.execute("CREATE TABLE small (a)")
        db.execute("INSERT INTO small VALUES (1)")
        db.execute("CREATE TABLE large (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO large VALUES (?)", [(1,), (200_000,)])
        db.execute("CREATE TABLE keyed (k PRIMARY KEY) WITHOUT ROWID")
        db.commit()
    engine = SqliteEngine(tmp_path / "one.db", count_budget_bytes=1000)
    outcome = read_image(engine, tmp_path / "image")
    assert outcome.inventory.tables == (
        TableFacts("", "keyed", None, exact=False),
        TableFacts("", "large", 200_000, exact=False),
        TableFacts("", "small", 1, exact=True),
    )
    assert "2 tables have estimated row counts" in outcome.warnings[0]


def test_no_log_or_index_is_left_beside_a_database_nobody_uses(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db")
    for method in ("wal", "backup", "vacuum", "copy"):
        read_image(
            SqliteEngine(bank, staging=tmp_path), tmp_path / f"{method}.image", method=method
        )
        assert not list(tmp_path.glob("bank.db-*"))


def test_a_second_backup_borrows_the_descriptor_of_the_first(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db")
    used = set()
    for number in range(5):
        read_image(SqliteEngine(bank), tmp_path / f"{number}.image")
        with shared_descriptor(bank) as descriptor:
            used.add(descriptor)
    assert len(used) == 1


def _contents(path: Path) -> dict[str, str]:
    """What the schema says and a digest of the rows of each table in it."""
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute("SELECT name, type, sql FROM sqlite_schema ORDER BY type, name")
        return {name: f"{sql} {_rows(db, name, kind)}" for name, kind, sql in schema.fetchall()}


def _rows(db: sqlite3.Connection, name: str, kind: str) -> str:
    if kind != "table":
        return ""
    quoted = '"' + name.replace('"', '""') + '"'
    rows = sorted(repr(row) for row in db.execute(f"SELECT * FROM {quoted}"))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
