"""Restoring SQLite databases: the target appears whole and proven, or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.databases.sqlite.restore import session as restore
from covetbackup.core.databases.sqlite.restore.session import RestoreToFile
from covetbackup.core.databases.sqlite.restore.staging import cleanup_scratch
from covetbackup.core.databases.sqlite.server.url import parse_url
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    Incomplete,
    StorageError,
    TargetNotEmpty,
)
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.stream.base import Filter
from tests.support.paths import ROOT
from tests.support.sqlite import create_bank, restore_image


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    (tmp_path / "source").mkdir()
    return create_bank(tmp_path / "source" / "bank.db", rows=1000).read_bytes()


@pytest.mark.parametrize("taken", ["", "-wal", "-journal", "-shm"])
def test_a_taken_target_is_refused_and_left_alone(tmp_path: Path, taken: str) -> None:
    occupant = tmp_path / f"new.db{taken}"
    occupant.write_text("mine")
    with pytest.raises(TargetNotEmpty, match=occupant.name), _restore(tmp_path / "new.db"):
        pytest.fail("the restore began")
    assert occupant.read_text() == "mine"
    assert os.listdir(tmp_path) == [occupant.name]


def test_a_dangling_link_is_a_taken_target(tmp_path: Path) -> None:
    (tmp_path / "new.db").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetNotEmpty), _restore(tmp_path / "new.db"):
        pytest.fail("the restore began")


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_target_taken_meanwhile_is_not_replaced(
    tmp_path: Path, image: bytes, suffix: str
) -> None:
    with pytest.raises(TargetNotEmpty):
        with _restore(tmp_path / "new.db") as session:
            _fill(session, image)
            (tmp_path / f"new.db{suffix}").write_text("mine")
            session.commit()
    assert sorted(os.listdir(tmp_path)) == [f"new.db{suffix}", "source"]
    assert (tmp_path / f"new.db{suffix}").read_text() == "mine"


def test_a_target_taken_in_the_last_instant_is_not_replaced(
    tmp_path: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetNotEmpty, match="appeared during the restore"):
        with _restore(tmp_path / "new.db") as session:
            _fill(session, image)
            # As if the name were taken just after the last look.
            monkeypatch.setattr(restore, "refuse_taken", lambda _: None)
            (tmp_path / "new.db").write_text("mine")
            session.commit()
    assert (tmp_path / "new.db").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["new.db", "source"]


def test_nothing_appears_before_the_commit_and_then_only_the_target(
    tmp_path: Path, image: bytes
) -> None:
    with _restore(tmp_path / "new.db") as session:
        _fill(session, image)
        session.inventory()
        assert not (tmp_path / "new.db").exists()
        session.commit()
    assert sorted(os.listdir(tmp_path)) == ["new.db", "source"]
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new.db").read_bytes() == image


def test_a_restored_database_keeps_its_journal_mode_and_can_be_written(
    tmp_path: Path, image: bytes
) -> None:
    (tmp_path / "image").write_bytes(image)
    restore_image(tmp_path / "image", tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("UPDATE account SET balance = 1")
        db.commit()


def test_a_url_names_the_same_target(tmp_path: Path, image: bytes) -> None:
    with _restore(f"sqlite:///{tmp_path}/it%27s%20%3F.db") as session:
        _fill(session, image)
        session.commit()
    assert (tmp_path / "it's ?.db").exists()


@pytest.mark.parametrize(
    ("target", "words"),
    [("relative.db", "not an absolute path"), ("/nonexistent/x.db", "not a directory")],
)
def test_an_unusable_target_is_refused(target: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words), _restore(target):
        pytest.fail("the restore began")


def test_leaving_without_a_commit_leaves_nothing(tmp_path: Path, image: bytes) -> None:
    with _restore(tmp_path / "new.db") as session:
        _fill(session, image)
        session.inventory()
    assert os.listdir(tmp_path) == ["source"]


def test_an_aborted_stream_is_never_committed(tmp_path: Path, image: bytes) -> None:
    with pytest.raises(Incomplete, match="not been restored"):
        with _restore(tmp_path / "new.db") as session:
            sink = session.sink(MemberRange("main.sqlite"), Silent())
            sink.write(image)
            sink.abort()
            session.commit()
    assert os.listdir(tmp_path) == ["source"]


CUTS = [1, 99, 100, 4095, 4096, -4096, -1]


@pytest.mark.parametrize("cut", CUTS)
def test_a_truncated_stream_never_becomes_a_target(tmp_path: Path, image: bytes, cut: int) -> None:
    with pytest.raises(Incomplete):
        with _restore(tmp_path / "new.db") as session:
            _fill(session, image[:cut])
            session.commit()
    assert os.listdir(tmp_path) == ["source"]
    with pytest.raises(Incomplete):
        _check(image[:cut], tmp_path)
    assert os.listdir(tmp_path) == ["source"]


def _flip(image: bytes, place: int) -> bytes:
    return image[:place] + bytes([image[place] ^ 0x40]) + image[place + 1 :]


DAMAGE: list[Callable[[bytes], bytes]] = [
    lambda image: _flip(image, 0),
    lambda image: _flip(image, 17),
    lambda image: _flip(image, 29),
    lambda image: _flip(image, 4096),
    lambda image: _flip(image, len(image) - 4096 + 1),
    lambda image: image + bytes(4096),
    lambda image: image[:40960] + image[45056:49152] + image[45056:],
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_stream_never_becomes_a_target(
    tmp_path: Path, image: bytes, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(CovetError):
        with _restore(tmp_path / "new.db") as session:
            _fill(session, damage(image))
            session.commit()
    with pytest.raises(CovetError):
        _check(damage(image), tmp_path)
    assert os.listdir(tmp_path) == ["source"]


def test_a_whole_stream_passes_the_check_unchanged(tmp_path: Path, image: bytes) -> None:
    assert _check(image, tmp_path) == image
    assert _check(b"", tmp_path) == b""
    assert os.listdir(tmp_path) == ["source"]


def test_a_check_left_early_leaves_nothing(tmp_path: Path, image: bytes) -> None:
    checked = _filter(tmp_path)(iter([image, image]))
    next(checked)
    checked.close()
    assert os.listdir(tmp_path) == ["source"]


def test_collations_and_functions_of_the_application_do_not_fail_the_proof(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as db:
        db.create_collation("house", lambda a, b: (a < b) - (a > b))
        db.create_function("valid", 2, lambda a, b: 1, deterministic=True)
        db.execute("CREATE TABLE t (a TEXT COLLATE house CHECK (valid(a, 1)))")
        db.execute("CREATE INDEX i ON t (a)")
        db.execute("CREATE INDEX j ON t (valid(a, 2))")
        db.executemany("INSERT INTO t VALUES (?)", [("a",), ("b",), ("c",)])
        db.commit()
    inventory = restore_image(tmp_path / "app.db", tmp_path / "new.db")
    assert [(table.name, table.rows) for table in inventory.tables] == [("t", 3)]
    damaged = _flip((tmp_path / "app.db").read_bytes(), 8192)
    with pytest.raises(Incomplete):
        _check(damaged, tmp_path)


def test_orphans_of_a_foreign_key_are_noted_and_restored(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as db:
        db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE child (parent REFERENCES parent (id))")
        db.execute("INSERT INTO child VALUES (7)")
        db.commit()
    notes = _Notes()
    with _restore(tmp_path / "new.db", notes) as session:
        _fill(session, (tmp_path / "app.db").read_bytes())
        session.commit()
    assert notes.texts == ["table child has rows whose foreign key leads nowhere"]


def test_cancelling_the_proof_leaves_nothing(tmp_path: Path, image: bytes) -> None:
    with pytest.raises(Cancelled):
        with _restore(tmp_path / "new.db", _CancelAtOnce()) as session:
            _fill(session, create_bank(tmp_path / "source" / "2", rows=20_000).read_bytes())
            session.commit()
    assert os.listdir(tmp_path) == ["source"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, image: bytes) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LITTLE_ROOM, tmp_path / "new.db", tmp_path / "source" / "bank.db"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert result.stdout.startswith(StorageError.__name__[:7])
    assert "cannot be written" in result.stdout
    assert os.listdir(tmp_path) == ["source"]


def test_kill_9_leaves_only_what_a_sweep_takes(tmp_path: Path, image: bytes) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _RESTORER, tmp_path / "new.db", tmp_path / "source" / "bank.db"],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        assert cleanup_scratch(tmp_path, _soon()) == []
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "new.db").exists()
    left = next(tmp_path.glob(".covet-restore-*"))
    assert cleanup_scratch(tmp_path, _soon() - timedelta(hours=1)) == []
    assert cleanup_scratch(tmp_path, _soon()) == [left]
    assert os.listdir(tmp_path) == ["source"]


def test_an_unknown_member_or_option_is_refused(tmp_path: Path) -> None:
    with _restore(tmp_path / "new.db") as session, pytest.raises(BadSetting, match="other.sqlite"):
        session.sink(MemberRange("other.sqlite"), Silent())
    options = RestoreRequest("new.db", owner="me")
    with pytest.raises(BadSetting, match="owner"):
        SqliteEngine(tmp_path / "any").restore(options, Inventory(), Silent())


_RESTORER = """
import sys, time
from pathlib import Path
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.progress import Silent
target, source = sys.argv[1:]
with SqliteEngine(Path(target)).restore(RestoreRequest(), Inventory(), Silent()) as session:
    sink = session.sink(MemberRange("main.sqlite"), Silent())
    sink.write(Path(source).read_bytes())
    print("written", flush=True)
    time.sleep(60)
"""

_LITTLE_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from covetbackup.core.errors import StorageError
try:
    exec(RESTORER)
except StorageError as error:
    print(error.code, error)
""".replace("RESTORER", repr(_RESTORER))


def _restore(
    target: Path | str, progress: Progress | None = None
) -> AbstractContextManager[RestoreToFile]:
    path = parse_url(target) if str(target).startswith("sqlite:") else Path(target)
    return SqliteEngine(path).restore(RestoreRequest(), Inventory(), progress or Silent())


def _fill(session: RestoreToFile, data: bytes) -> None:
    sink = session.sink(MemberRange("main.sqlite"), Silent())
    for start in range(0, len(data), 300_000):
        sink.write(data[start : start + 300_000])
    sink.commit()


def _filter(staging: Path) -> Filter:
    found = SqliteEngine(Path("/not/used"), staging=staging).check("main.sqlite")
    assert found is not None
    return found


def _check(data: bytes, staging: Path) -> bytes:
    pieces = (data[start : start + 300_000] for start in range(0, len(data), 300_000))
    return b"".join(_filter(staging)(pieces))


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


class _Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class _CancelAtOnce(Silent):
    def advance(self, count: int) -> None:
        raise Cancelled
