"""What every storage promises: the same tests for each driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    ObjectExists,
    ObjectNotFound,
    SourceFailed,
    StorageError,
    Truncated,
)
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3 import S3Storage
from covetbackup.core.storage.s3_settings import S3Credentials, S3Settings
from covetbackup.core.stream.pump import pump
from tests.support.s3 import S3Endpoint

PART = 8 * 1024 * 1024
NOISE = os.urandom(PART)
IMPATIENT = Retry(attempts=2, pause=lambda stop, seconds: None)


@contextmanager
def local_place(request: pytest.FixtureRequest) -> Iterator[Storage]:
    root: Path = request.getfixturevalue("tmp_path")
    yield LocalStorage(root / "repository")


@contextmanager
def memory_place(request: pytest.FixtureRequest) -> Iterator[Storage]:
    yield MemoryStorage()


@contextmanager
def resilient_place(request: pytest.FixtureRequest) -> Iterator[Storage]:
    yield ResilientStorage(MemoryStorage(), IMPATIENT)


@contextmanager
def rclone_place(request: pytest.FixtureRequest) -> Iterator[Storage]:
    yield s3_storage(request.getfixturevalue("rclone_s3"))


@contextmanager
def moto_place(request: pytest.FixtureRequest) -> Iterator[Storage]:
    yield s3_storage(request.getfixturevalue("moto_s3"))


def s3_storage(endpoint: S3Endpoint) -> S3Storage:
    credentials = S3Credentials(endpoint.access_key, endpoint.secret_key)
    settings = S3Settings(endpoint.bucket, "deep/er", endpoint.url, credentials=credentials)
    return S3Storage(settings, IMPATIENT)


PLACES = [memory_place, resilient_place, local_place, rclone_place, moto_place]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__.removesuffix("_place"))
def bare(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """A storage in which nothing was ever written."""
    with request.param(request) as storage:
        yield storage


@pytest.fixture
def storage(bare: Storage) -> Storage:
    """A storage with its marker."""
    put(bare, MARKER, b"{}")
    return bare


def put(storage: Storage, name: str, data: bytes) -> None:
    sink = storage.create(name)
    sink.write(data)
    sink.commit()


def get(storage: Storage, name: str, offset: int = 0, length: int | None = None) -> bytes:
    with storage.open(name, offset, length) as chunks:
        return b"".join(chunks)


def names(storage: Storage, prefix: str = "") -> list[str]:
    return [info.name for info in storage.list(prefix) if info.name != MARKER]


@contextmanager
def dying_source(error: BaseException) -> Iterator[Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield NOISE
        yield b"and more than one part"
        raise error

    yield chunks()


def far_future() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 4 * PART + 7])
def test_an_object_comes_back_as_it_was_written(storage: Storage, size: int) -> None:
    data = (NOISE * 5)[:size]
    sink = storage.create("a/object")
    for start in range(0, size, 1_000_003):
        sink.write(data[start : start + min(1_000_003, size - start)])
    sink.commit()
    assert get(storage, "a/object") == data
    assert storage.stat("a/object").size == size


def test_an_object_is_invisible_until_its_commit(storage: Storage) -> None:
    sink = storage.create("a/object")
    sink.write(NOISE + b"x")
    assert names(storage) == []
    with pytest.raises(ObjectNotFound):
        storage.stat("a/object")
    sink.commit()
    assert names(storage) == ["a/object"]


def test_after_an_abort_nothing_is_left(storage: Storage) -> None:
    sink = storage.create("a/object")
    sink.write(NOISE + b"x")
    sink.abort()
    sink.abort()
    assert names(storage) == []
    assert list(storage.cleanup(far_future())) == []
    put(storage, "a/object", b"second try")
    assert get(storage, "a/object") == b"second try"


def test_an_abort_after_the_commit_takes_nothing_away(storage: Storage) -> None:
    sink = storage.create("object")
    sink.write(b"kept")
    sink.commit()
    sink.abort()
    assert get(storage, "object") == b"kept"


def test_a_taken_name_is_refused_at_once(storage: Storage) -> None:
    put(storage, "object", b"first")
    with pytest.raises(ObjectExists):
        storage.create("object")
    assert get(storage, "object") == b"first"


@pytest.mark.parametrize("second", [b"first", NOISE + b"x"], ids=["same", "longer"])
def test_of_two_writers_the_first_commit_stays(storage: Storage, second: bytes) -> None:
    winner, loser = storage.create("object"), storage.create("object")
    winner.write(b"first")
    loser.write(second)
    winner.commit()
    with pytest.raises(ObjectExists):
        loser.commit()
    loser.abort()
    assert get(storage, "object") == b"first"
    assert list(storage.cleanup(far_future())) == []


@pytest.mark.parametrize("error", [SourceFailed("the dump died"), Cancelled()], ids=repr)
def test_a_source_that_dies_or_a_cancel_leaves_no_object(
    storage: Storage, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        pump(dying_source(error), [], storage.create("a/object"))
    assert names(storage) == []
    assert list(storage.cleanup(far_future())) == []


def test_a_missing_object_is_said_to_be_missing(storage: Storage) -> None:
    put(storage, "a/object", b"x")
    for name in ("object", "a/other", "a", "other/deep/er"):
        with pytest.raises(ObjectNotFound):
            storage.stat(name)
        with pytest.raises(ObjectNotFound), storage.open(name):
            pass
        with pytest.raises(ObjectNotFound), storage.open(name, 0, 0):
            pass


def test_a_range_is_read_exactly(storage: Storage) -> None:
    put(storage, "object", b"0123456789")
    ranges = [(0, 0), (0, 1), (0, 10), (3, 4), (3, None), (9, 1), (10, None), (10, 0)]
    for offset, length in ranges:
        end = None if length is None else offset + length
        assert get(storage, "object", offset, length) == b"0123456789"[offset:end]


def test_a_range_beyond_the_end_is_truncated(storage: Storage) -> None:
    put(storage, "object", b"0123456789")
    for offset, length in [(0, 11), (9, 2), (10, 1), (11, None), (11, 1)]:
        with pytest.raises(Truncated):
            get(storage, "object", offset, length)


def test_a_range_of_an_empty_object_is_truncated(storage: Storage) -> None:
    put(storage, "object", b"")
    assert get(storage, "object", 0, None) == b""
    with pytest.raises(Truncated):
        get(storage, "object", 0, 1)


def test_a_reader_may_leave_early(storage: Storage) -> None:
    put(storage, "object", NOISE)
    with storage.open("object") as chunks:
        assert NOISE.startswith(next(chunks))
    assert get(storage, "object", 0, 4) == NOISE[:4]


def test_the_listing_is_complete_and_sorted_by_whole_name(storage: Storage) -> None:
    wanted = ["B/z", "a-b/x", "a.b", "a/0.1/z", "a/x/y", "ab", *(f"c/{n:03}" for n in range(8))]
    for name in reversed(wanted):
        put(storage, name, b"x")
    assert [info.name for info in storage.list()] == sorted([MARKER, *wanted])
    assert names(storage) == sorted(wanted)


def test_a_prefix_is_of_the_name_not_of_a_directory(storage: Storage) -> None:
    for name in ("a-b/x", "a/x/y", "ab", "b"):
        put(storage, name, b"x")
    assert names(storage, "a") == ["a-b/x", "a/x/y", "ab"]
    for prefix in ("a/", "a/x", "a/x/y"):
        assert names(storage, prefix) == ["a/x/y"]
    for prefix in ("a/x/yz", "ab/", "c", "../"):
        assert names(storage, prefix) == []


def test_the_time_of_the_commit_is_aware_and_recent(storage: Storage) -> None:
    put(storage, "object", b"x")
    [info] = storage.list("object")
    for modified_at in (storage.stat("object").modified_at, info.modified_at):
        assert abs(datetime.now(UTC) - modified_at) < timedelta(minutes=1)


def test_a_deleted_object_is_gone_and_its_name_free(storage: Storage) -> None:
    put(storage, "a/b/object", b"x")
    put(storage, "a/other", b"y")
    storage.delete("a/b/object")
    storage.delete("a/b/object")
    storage.delete("never/was")
    assert names(storage) == ["a/other"]
    put(storage, "a/b/object", b"z")
    assert get(storage, "a/b/object") == b"z"


def test_without_the_marker_nothing_else_is_written(bare: Storage) -> None:
    with pytest.raises(BadSetting, match=r"covet\.json"):
        bare.create("a/object")
    put(bare, MARKER, b"{}")
    put(bare, "a/object", b"x")
    assert names(bare) == ["a/object"]


def test_the_marker_of_a_place_never_written_is_missing(bare: Storage) -> None:
    with pytest.raises(ObjectNotFound):
        bare.stat(MARKER)


HOSTILE = ["", "../x", "/etc/passwd", "a/../b", "a//b", "a/", "-x", ".x", "a\0b", "a b", "ä", "x\n"]


def test_a_hostile_name_is_refused_everywhere(storage: Storage) -> None:
    uses: list[Callable[[str], object]] = [
        storage.create,
        storage.stat,
        storage.delete,
        lambda name: get(storage, name),
    ]
    for name in [*HOSTILE, "x" * 901]:
        for use in uses:
            with pytest.raises(BadSetting):
                use(name)


def test_sweep_removes_what_a_crashed_writer_left(storage: Storage) -> None:
    put(storage, "kept", b"x")
    crashed = storage.create("a/object")
    crashed.write(NOISE + b"x")
    assert list(storage.cleanup(far_future())) == ["a/object"]
    assert list(storage.cleanup(far_future())) == []
    with pytest.raises(StorageError):
        crashed.commit()
    crashed.abort()
    assert names(storage) == ["kept"]


def test_sweep_of_a_prefix_leaves_other_uploads_alone(storage: Storage) -> None:
    for name in ("a/object", "ab/object", "b/object"):
        storage.create(name).write(NOISE + b"x")
    assert list(storage.cleanup(far_future(), "a/")) == ["a/object"]
    assert list(storage.cleanup(far_future())) == ["ab/object", "b/object"]


def test_sweep_leaves_younger_uploads_alone(
    storage: Storage, request: pytest.FixtureRequest
) -> None:
    if "moto" in request.node.name:
        pytest.skip("moto dates every upload to 2010")
    young = storage.create("object")
    young.write(NOISE + b"x")
    assert list(storage.cleanup(datetime.now(UTC) - timedelta(hours=1))) == []
    young.commit()
    assert names(storage) == ["object"]


def test_several_threads_share_one_storage(storage: Storage) -> None:
    def work(number: int) -> bool:
        data = NOISE[: 1000 * number] * 3
        put(storage, f"t/{number}", data)
        return get(storage, f"t/{number}") == data

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(12)))
    assert len(names(storage, "t/")) == 12
