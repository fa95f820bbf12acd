"""Backups of SQLite databases that are written to meanwhile: always one committed state."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.sqlite.backup.walindex import begin_read
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.databases.sqlite.server.fd_cache import shared_descriptor
from covetbackup.core.progress import Silent
from tests.support.sqlite import assert_sound_bank, create_bank, read_image, transferring


@pytest.mark.parametrize("checkpoint", ["auto", "often", "restart", "truncate"])
def test_pages_read_in_place_are_one_state_whatever_the_checkpointer_does(
    tmp_path: Path, checkpoint: str
) -> None:
    bank = create_bank(tmp_path / "bank.db")
    with transferring(bank, per_second=400, checkpoint=checkpoint):
        for number in range(25):
            image = tmp_path / f"{number}.sqlite"
            outcome = read_image(SqliteEngine(bank), image, method="wal")
            assert_sound_bank(image, outcome)


def test_checkpoints_while_the_stream_pauses_do_not_reach_it(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    for number in range(4):
        image = tmp_path / f"{number}.sqlite"
        with (
            transferring(bank, per_second=400, checkpoint="truncate"),
            SqliteEngine(bank).backup(BackupOptions("wal"), Silent()) as session,
            next(session.groups())[0].source as chunks,
            image.open("wb") as file,
        ):
            for chunk in chunks:
                file.write(chunk)
                time.sleep(0.05)
            outcome = session.finish()
        assert_sound_bank(image, outcome)


def test_a_state_that_is_all_in_the_file_survives_a_restart_of_the_log(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        with _paused_backup(bank, tmp_path) as image:
            assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
            writer.execute("UPDATE account SET balance = 7")
            writer.execute("UPDATE ballast SET data = zeroblob(2000)")
            # Mark 0 is held: nothing may be copied into the file that is being read.
            assert writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[2] == 0
        with closing(sqlite3.connect(image)) as restored:
            assert restored.execute("SELECT DISTINCT balance FROM account").fetchall() == [(1000,)]
            assert restored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_state_partly_in_the_log_is_not_overtaken_by_a_checkpoint(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("UPDATE account SET balance = 1")
        with _paused_backup(bank, tmp_path) as image:
            writer.execute("UPDATE account SET balance = 2")
            writer.execute("UPDATE ballast SET data = zeroblob(2000)")
            _, frames, copied = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            assert 0 < copied < frames
            writer.execute("UPDATE account SET balance = 3")
        with closing(sqlite3.connect(image)) as restored:
            assert restored.execute("SELECT DISTINCT balance FROM account").fetchall() == [(1,)]
            assert restored.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_commit_in_the_middle_of_the_begin_makes_it_begin_again(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db")
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("UPDATE account SET balance = 1")

        class Overtaken(sqlite3.Connection):
            left = 3

            def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
                cursor = super().execute(sql, *rest)
                if sql.startswith("SELECT 1") and self.left:
                    self.left -= 1
                    cursor.fetchall()
                    writer.execute("UPDATE account SET balance = balance + 1")
                return cursor

        with closing(sqlite3.connect(bank, isolation_level=None, factory=Overtaken)) as reader:
            reader.execute("PRAGMA page_count").fetchone()
            with shared_descriptor(tmp_path / "bank.db-shm") as index:
                state = begin_read(reader, index)
            seen = reader.execute("SELECT DISTINCT balance FROM account").fetchall()
        assert seen == [(4,)]
        assert state.frames == 4


def test_uncommitted_and_rolled_back_pages_in_the_log_are_not_read(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=500)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size=5")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE ballast SET data = zeroblob(2000)")
        assert (tmp_path / "bank.db-wal").stat().st_size > 100_000
        outcome = read_image(SqliteEngine(bank), tmp_path / "1.sqlite", method="wal")
        writer.execute("ROLLBACK")
        writer.execute("UPDATE ballast SET data = randomblob(2000) WHERE id < 9")
        read_image(SqliteEngine(bank), tmp_path / "2.sqlite", method="wal")
    assert_sound_bank(tmp_path / "1.sqlite", outcome)
    for name in ("1.sqlite", "2.sqlite"):
        with closing(sqlite3.connect(tmp_path / name)) as restored:
            zeros = "SELECT count(*) FROM ballast WHERE data = zeroblob(2000)"
            assert restored.execute(zeros).fetchone() == (0,)


def test_a_shrunken_database_is_read_to_its_new_end(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=1000)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("DELETE FROM ballast WHERE id > 10")
        writer.execute("VACUUM")
        outcome = read_image(SqliteEngine(bank), tmp_path / "image.sqlite", method="wal")
    assert_sound_bank(tmp_path / "image.sqlite", outcome)
    assert (tmp_path / "image.sqlite").stat().st_size < 100_000


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_the_online_backup_ends_although_transfers_go_on(tmp_path: Path, journal: str) -> None:
    bank = create_bank(tmp_path / "bank.db", journal=journal, rows=4000)
    with transferring(bank, per_second=100) as writer:
        for number in range(4):
            image = tmp_path / f"{number}.sqlite"
            outcome = read_image(SqliteEngine(bank, staging=tmp_path), image, method="backup")
            assert_sound_bank(image, outcome)
            time.sleep(0.1)
    assert writer.transfers > 10


def test_the_writer_is_never_kept_waiting_by_pages_read_in_place(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with transferring(bank, per_second=100) as writer:
        with _paused_backup(bank, tmp_path):
            time.sleep(1.5)
    assert writer.transfers > 50
    assert writer.worst_seconds < 1


def test_the_default_method_fits_the_journal_mode(tmp_path: Path) -> None:
    for journal, method in (("wal", "wal"), ("delete", "backup")):
        bank = create_bank(tmp_path / f"{journal}.db", journal=journal)
        outcome = read_image(SqliteEngine(bank), tmp_path / f"{journal}.image")
        assert outcome.method == method
        assert (outcome.inventory.settings or {})["journal_mode"] == journal


@contextmanager
def _paused_backup(bank: Path, folder: Path) -> Iterator[Path]:
    """Begin a backup by 'wal', stop after the first piece for the caller, then finish it."""
    image = folder / "paused.sqlite"
    with (
        SqliteEngine(bank).backup(BackupOptions("wal"), Silent()) as session,
        next(session.groups())[0].source as chunks,
        image.open("wb") as file,
    ):
        file.write(next(chunks))
        yield image
        file.writelines(chunks)
        session.finish()
