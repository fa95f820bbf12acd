"""Sources that are missing, foreign, damaged or changing: a clear error, never a backup."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.sqlite.backup.session import count_in_thread
from covetbackup.core.databases.sqlite.engine import Method, SqliteEngine
from covetbackup.core.databases.sqlite.restore import staging
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    DatabaseError,
    DatabaseUnavailable,
    Incomplete,
    SinkFailed,
    SourceFailed,
    StorageFull,
)
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.paths import ROOT, open_to_other_users
from tests.support.sqlite import assert_sound_bank, create_bank, read_image


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def _text(path: Path) -> None:
    path.write_text("SQLite format 2: no such thing\n" * 200)


UNUSABLE: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: None, "does not exist"),
    (lambda path: path.mkdir(), "is not a regular file"),
    (lambda path: os.mkfifo(path), "is not a regular file"),
    (_garbage, "not a SQLite database"),
    (_text, "not a SQLite database"),
    (lambda path: path.symlink_to(path), "cannot be reached"),
]


@pytest.mark.parametrize(("make", "words"), UNUSABLE)
def test_what_is_no_database_is_named(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "it.db")
    engine = SqliteEngine(tmp_path / "it.db")
    for attempt in (engine.probe, lambda: read_image(engine, tmp_path / "image")):
        with pytest.raises(DatabaseUnavailable, match=words):
            attempt()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_file_that_the_user_may_not_read_is_named(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db")
    bank.chmod(0o600)
    found = _as_nobody(bank)
    assert found.startswith("DatabaseUnavailable ") and "not readable by this user" in found


@pytest.mark.parametrize("method", ["other", "WAL", "--help"])
def test_an_unknown_method_is_refused(tmp_path: Path, method: str) -> None:
    with pytest.raises(BadSetting, match="no method"):
        read_image(SqliteEngine(create_bank(tmp_path / "bank.db")), tmp_path / "x", method=method)


def test_reading_in_place_needs_wal_mode(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", journal="delete")
    with pytest.raises(BadSetting, match="not in WAL mode"):
        read_image(SqliteEngine(bank), tmp_path / "image", method="wal")


@pytest.mark.parametrize("method", ["backup", "vacuum", "copy"])
def test_a_hot_journal_is_rolled_back_first(tmp_path: Path, method: str) -> None:
    bank = _crashed_bank(tmp_path, "delete")
    outcome = read_image(SqliteEngine(bank, staging=tmp_path), tmp_path / "image", method=method)
    assert_sound_bank(tmp_path / "image", outcome)


def test_the_log_of_a_crashed_program_is_part_of_the_backup(tmp_path: Path) -> None:
    bank = _crashed_bank(tmp_path, "wal")
    outcome = read_image(SqliteEngine(bank), tmp_path / "image", method="wal")
    assert assert_sound_bank(tmp_path / "image", outcome) == 1


@pytest.mark.parametrize("method", Method)
def test_a_damaged_table_fails_the_backup(tmp_path: Path, method: Method) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=2000)
    _overwrite(bank, offset=4096, data=b"\xff" * 200_000)
    with pytest.raises(DatabaseError, match="damaged|malformed"):
        read_image(SqliteEngine(bank, staging=tmp_path), tmp_path / "image", method=method)


@pytest.mark.parametrize("method", ["wal", "copy"])
def test_a_file_cut_short_while_it_is_read_is_no_backup(tmp_path: Path, method: str) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with pytest.raises(SourceFailed, match="ended at byte"):
        _back_up_with(bank, method, lambda: os.truncate(bank, 2_000_000))


@pytest.mark.parametrize("change", [Path.unlink, lambda bank: shutil.copy(bank, f"{bank}.new")])
def test_a_file_that_vanishes_or_is_replaced_is_no_backup(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)

    def replace() -> None:
        change(bank)
        if (tmp_path / "bank.db.new").exists():
            os.replace(tmp_path / "bank.db.new", bank)

    with pytest.raises(SourceFailed, match="vanished|replaced"):
        _back_up_with(bank, "wal", replace)


@pytest.mark.parametrize("part", ["header", "salt", "page", "commit", "cut"])
def test_a_log_that_does_not_match_its_index_is_no_backup(tmp_path: Path, part: str) -> None:
    bank = create_bank(tmp_path / "bank.db")
    log = tmp_path / "bank.db-wal"
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("UPDATE account SET balance = 3")
        whole = log.read_bytes()
        last = len(whole) - 4096 - 24
        if part == "cut":
            os.truncate(log, len(whole) - 1)
        else:
            offset = {"header": 8, "salt": last + 8, "page": last + 2000, "commit": last + 7}[part]
            _overwrite(log, offset=offset, data=bytes([whole[offset] ^ 1]))
        with pytest.raises(SourceFailed, match="log does not match|ended at byte"):
            read_image(SqliteEngine(bank), tmp_path / "image")
        log.write_bytes(whole)


@pytest.mark.parametrize("method", Method)
def test_a_dying_sink_ends_the_backup_cleanly(tmp_path: Path, method: Method) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with pytest.raises(SinkFailed, match="full"):
        engine = SqliteEngine(bank, staging=tmp_path)
        with engine.backup(BackupOptions(method), Silent()) as session:
            for (member,) in session.groups():
                pump(member.source, [], _FullSink())
    assert os.listdir(tmp_path) == ["bank.db"]


@pytest.mark.parametrize("method", ["backup", "vacuum"])
def test_cancelling_while_staging_leaves_nothing(tmp_path: Path, method: str) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=20_000)
    with pytest.raises(Cancelled):
        with SqliteEngine(bank, staging=tmp_path).backup(BackupOptions(method), _CancelAtOnce()):
            pytest.fail("the backup went on")
    assert os.listdir(tmp_path) == ["bank.db"]


def test_cancelling_interrupts_the_counting_of_rows() -> None:
    endless = (
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
    )

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            return super().execute(endless if "count(*) FROM" in sql else sql, *rest)

    with closing(sqlite3.connect(":memory:", check_same_thread=False, factory=Slow)) as db:
        with pytest.raises(Cancelled), count_in_thread(db, 1 << 30) as inventory:
            raise Cancelled
    assert isinstance(inventory.exception(), sqlite3.OperationalError)


def test_finishing_before_the_stream_has_ended_is_refused(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=3000)
    with SqliteEngine(bank).backup(BackupOptions("wal"), Silent()) as session:
        with next(session.groups())[0].source as chunks:
            next(chunks)
        with pytest.raises(Incomplete, match="not read to its end"):
            session.finish()


def test_too_little_room_for_staging_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = create_bank(tmp_path / "bank.db")
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(StorageFull, match="9 bytes free"):
        read_image(SqliteEngine(bank, staging=tmp_path), tmp_path / "x", method="backup")


def _back_up_with(bank: Path, method: str, change: Callable[[], object]) -> None:
    with SqliteEngine(bank).backup(BackupOptions(method), Silent()) as session:
        with next(session.groups())[0].source as chunks:
            next(chunks)
            change()
            _exhaust(chunks)


def _exhaust(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


def _overwrite(path: Path, *, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _crashed_bank(folder: Path, journal: str) -> Path:
    """A bank whose program died inside a transaction after one complete transfer."""
    bank = create_bank(folder / "bank.db", journal=journal, rows=500)
    subprocess.run([sys.executable, "-c", _CRASH, bank], check=True)
    assert (folder / ("bank.db-journal" if journal == "delete" else "bank.db-wal")).exists()
    return bank


_CRASH = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size=2")
db.execute("BEGIN")
db.execute("UPDATE account SET balance = balance - 5 WHERE id = 0")
db.execute("UPDATE account SET balance = balance + 5 WHERE id = 1")
db.execute("INSERT INTO transfer (a, b, amount) VALUES (0, 1, 5)")
db.execute("COMMIT")
db.execute("BEGIN")
db.execute("UPDATE account SET balance = 0")
db.execute("UPDATE ballast SET data = zeroblob(2000)")
os._exit(0)
"""

_NOBODY = """
import os, sys
from pathlib import Path
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.errors import CovetError
os.setgid(65534); os.setuid(65534)
try:
    SqliteEngine(Path(sys.argv[1])).probe()
except CovetError as error:
    print(error.code, error)
"""


def _as_nobody(bank: Path) -> str:
    # The test's folder is closed to others: opened up to the database, as a real one would be.
    open_to_other_users(bank.parent)
    command = [sys.executable, "-c", _NOBODY, bank]
    root = ROOT
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout


class _FullSink:
    def write(self, chunk: bytes) -> None:
        raise SinkFailed("the sink is full")

    def commit(self) -> None:
        raise CovetError("nothing to commit")

    def abort(self) -> None:
        pass


class _CancelAtOnce(Silent):
    def advance(self, count: int) -> None:
        raise Cancelled
