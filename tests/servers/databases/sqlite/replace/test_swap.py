"""Replacing a SQLite file: the old one serves until the new one has its place, and is kept."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.databases.sqlite.restore.session import RestoreToFile
from covetbackup.core.errors import BadSetting, Cancelled, ServerBusy, TargetNotEmpty
from covetbackup.core.progress import Silent
from tests.support.paths import ROOT
from tests.support.streams import eventually

WHO = "SELECT name FROM who"


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """Of a database in WAL mode."""
    (tmp_path / "elsewhere").mkdir()
    return made(tmp_path / "elsewhere" / "new.db", "new", mode="WAL").read_bytes()


@pytest.fixture(params=["WAL", "DELETE", "PERSIST"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return made(tmp_path / "data" / "shop.db", "old", mode=request.param)


def made(path: Path, who: str, *, mode: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={mode}")
        db.execute("CREATE TABLE who (name TEXT)")
        db.execute("INSERT INTO who VALUES (?)", (who,))
        db.commit()
    return path


def who(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute(WHO)]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@contextmanager
def replacing(target: Path, image: bytes) -> Iterator[RestoreToFile]:
    options = RestoreRequest(replace=True)
    with SqliteEngine(target).restore(options, Inventory(), Silent()) as session:
        sink = session.sink(MemberRange("main.sqlite"), Silent())
        sink.write(image)
        sink.commit()
        yield session


def test_the_new_one_has_the_place_and_the_old_one_is_kept(target: Path, image: bytes) -> None:
    target.chmod(0o640)
    with replacing(target, image) as session:
        assert who(target) == ["old"]
        session.commit()
    assert names(target.parent) == sorted([target.name, session.retained_as])
    assert session.retained_as.startswith("shop_replaced_") and session.retained_as.endswith(".db")
    assert (who(target), who(target.with_name(session.retained_as))) == (["new"], ["old"])
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_restore_without_the_option_never_replaces(target: Path) -> None:
    with pytest.raises(TargetNotEmpty):
        options = RestoreRequest()
        with SqliteEngine(target).restore(options, Inventory(), Silent()):
            pytest.fail("the restore began")


def test_what_is_not_there_cannot_be_replaced(tmp_path: Path, image: bytes) -> None:
    with pytest.raises(BadSetting, match="no database"), replacing(tmp_path / "no.db", image):
        pytest.fail("the restore began")
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere" / "new.db")
    with pytest.raises(BadSetting, match="link"), replacing(tmp_path / "link.db", image):
        pytest.fail("the restore began")


def test_frames_in_the_log_of_a_dead_writer_are_kept(tmp_path: Path, image: bytes) -> None:
    """A writer that was killed leaves committed rows in -wal alone."""
    target = made(tmp_path / "shop.db", "old", mode="WAL")
    write_and_die(target)
    with replacing(target, image) as session:
        session.commit()
    assert who(target) == ["new"]
    assert who(target.with_name(session.retained_as)) == ["old", "next"]
    assert names(tmp_path) == sorted(["elsewhere", "shop.db", session.retained_as])


_DEAD_WRITER = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA wal_autocheckpoint=0")
db.execute("INSERT INTO who VALUES (?)", sys.argv[2:])
db.commit()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", WHO])
def test_a_log_in_use_refuses_the_replacement(
    tmp_path: Path, image: bytes, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer, and whoever only has a database in WAL mode open."""
    monkeypatch.setattr(swap, "_BUSY_SECONDS", 0.1)
    target = made(tmp_path / "shop.db", "old", mode="WAL")
    with closing(sqlite3.connect(target, isolation_level=None)) as client:
        client.execute(statement).fetchall()
        with pytest.raises(ServerBusy, match="in use"), replacing(target, image) as session:
            session.commit()
        client.execute("INSERT INTO who VALUES ('more')")
        if client.in_transaction:
            client.execute("COMMIT")
    assert who(target) == ["old", "more"]
    assert names(tmp_path) == ["elsewhere", "shop.db"]


def test_a_writer_of_a_plain_file_refuses_the_replacement(
    tmp_path: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_BUSY_SECONDS", 0.1)
    target = made(tmp_path / "shop.db", "old", mode="DELETE")
    with closing(sqlite3.connect(target, isolation_level=None)) as client:
        client.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServerBusy), replacing(target, image) as session:
            session.commit()
        client.execute("INSERT INTO who VALUES ('more')")
        client.execute("COMMIT")
    assert who(target) == ["old", "more"]


def test_a_cancel_leaves_the_old_one_serving(target: Path, image: bytes) -> None:
    before = {name: (target.parent / name).read_bytes() for name in names(target.parent)}
    with pytest.raises(Cancelled), replacing(target, image):
        raise Cancelled
    assert {name: (target.parent / name).read_bytes() for name in before} == before
    assert names(target.parent) == list(before)


def test_a_log_begun_by_the_next_program_is_not_removed(
    target: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the old file, which had a log of that name, is still open here."""
    really_alone = swap.exclusive_lock

    @contextmanager
    def alone_in(path: Path) -> Iterator[os.stat_result]:
        with really_alone(path) as status:
            yield status
            if path == target:
                write_and_die(target)

    monkeypatch.setattr(swap, "exclusive_lock", alone_in)
    with replacing(target, image) as session:
        session.commit()
    assert who(target) == ["new", "next"]
    assert who(target.with_name(session.retained_as)) == ["old"]


def write_and_die(path: Path) -> None:
    """The row is in the log alone."""
    subprocess.run([sys.executable, "-c", _DEAD_WRITER, path, "next"], check=False, timeout=30)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0


@pytest.mark.parametrize(("moment", "serving"), [("before", "old"), ("after", "new")])
def test_kill_9_around_the_swap_leaves_one_or_the_other(
    target: Path, image: bytes, moment: str, serving: str
) -> None:
    new = target.parent.parent / "elsewhere" / "new.db"
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, target, new, moment], cwd=ROOT, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert who(target) == [serving]
    [kept] = target.parent.glob("shop_replaced_*.db")
    assert swap.was_swapped(target, kept) is (moment == "after")
    assert kept.exists() is (moment == "after")
    assert who(target) == [serving]
    if moment == "after":
        assert who(kept) == ["old"]


def test_who_clears_up_meanwhile_does_not_take_the_last_name_of_the_old_one(
    target: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed, answers = os.replace, []

    def clear_up_and_rename(old: Path, new: Path) -> None:
        [kept] = target.parent.glob("shop_replaced_*")
        thread = threading.Thread(target=lambda: answers.append(swap.was_swapped(new, kept)))
        thread.start()
        thread.join(0.3)
        renamed(old, new)

    monkeypatch.setattr(os, "replace", clear_up_and_rename)
    with replacing(target, image) as session:
        session.commit()
    assert eventually(lambda: answers == [True])
    assert who(target.with_name(session.retained_as)) == ["old"]


def test_a_second_name_left_by_a_killed_swap_is_gone_before_the_next_try(
    target: Path, image: bytes
) -> None:
    alias = target.with_name("shop_replaced_20200101_000000.db")
    os.link(target, alias)
    with replacing(target, image) as session:
        assert not alias.exists()
        session.commit()
    assert who(target.with_name(session.retained_as)) == ["old"]


def test_a_second_name_of_somebody_else_refuses(target: Path, image: bytes) -> None:
    os.link(target, target.with_name("also.db"))
    with pytest.raises(BadSetting, match="second name"), replacing(target, image):
        pytest.fail("the restore began")


_KILLED = """
import os, sys
from pathlib import Path
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.progress import Silent
target, source, moment = sys.argv[1:]
renamed = os.replace
def die(old, new):
    if moment == "after":
        renamed(old, new)
    os.kill(os.getpid(), 9)
os.replace = die
request = RestoreRequest(replace=True)
with SqliteEngine(Path(target)).restore(request, Inventory(), Silent()) as session:
    sink = session.sink(MemberRange("main.sqlite"), Silent())
    sink.write(Path(source).read_bytes())
    sink.commit()
    session.commit()
"""


def test_swapping_back_is_the_same_the_other_way(target: Path, image: bytes) -> None:
    with replacing(target, image) as session:
        session.commit()
    kept = target.with_name(session.retained_as)
    identity = swap.identity_of(kept)
    again = swap.free_retained_path(target, datetime.now(UTC))
    swap.swap(target, kept, again)
    assert (who(target), who(again)) == (["old"], ["new"])
    assert names(target.parent) == sorted([target.name, again.name])
    assert identity is not None
    assert swap.find_by_identity(target.parent, identity) == target.name


def test_a_kept_database_in_use_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_BUSY_SECONDS", 0.1)
    kept = made(tmp_path / "kept.db", "old", mode="WAL")
    with closing(sqlite3.connect(kept)) as client:
        client.execute(WHO).fetchall()
        with pytest.raises(ServerBusy):
            swap.drop_retained(kept)
    swap.drop_retained(kept)
    assert names(tmp_path) == []


def test_kept_names_fit_and_differ(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    long = tmp_path / f"{'é' * 120}.db"
    first = swap.free_retained_path(long, now)
    first.touch()
    second = swap.free_retained_path(long, now)
    assert first.name.endswith("_replaced_20260301_120000.db")
    assert second.name.endswith("_replaced_20260301_120000_2.db")
    assert max(len(os.fsencode(path.name)) for path in (first, second)) <= 255 - len("-journal")
    assert swap.free_retained_path(first, now).name == second.name
