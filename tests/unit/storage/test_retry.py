"""The retry policy and what is built on it, with clocks and dice of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import pytest

from covetbackup.core.errors import AccessRefused, StorageUnavailable
from covetbackup.core.storage.base import MARKER, ObjectInfo
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.resume import resume_reads
from covetbackup.core.storage.retry import Retry


class Clock:
    """Time passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def pause(self, stop: Event, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retry(clock: Clock) -> Retry:
    return Retry(pause=clock.pause, clock=lambda: clock.now, random=lambda: 1.0)


def failing(times: int, error: Exception | None = None) -> Callable[[], str]:
    left = iter(range(times))

    def work() -> str:
        if next(left, None) is not None:
            raise error or StorageUnavailable("no answer", hint="wait")
        return "done"

    return work


def test_a_passing_fault_is_tried_again_with_growing_pauses(retry: Retry, clock: Clock) -> None:
    assert retry(failing(7)) == "done"
    assert clock.pauses == [0.5, 1, 2, 4, 8, 16, 32]


def test_no_more_than_eight_tries(retry: Retry, clock: Clock) -> None:
    with pytest.raises(StorageUnavailable, match="no answer .tries: 8.") as caught:
        retry(failing(8))
    assert caught.value.hint == "wait"
    assert caught.value.code == "StorageUnavailable"
    assert len(clock.pauses) == 7


def test_no_pause_reaches_beyond_the_budget(retry: Retry, clock: Clock) -> None:
    with pytest.raises(StorageUnavailable):
        replace(retry, attempts=1000, budget_seconds=900)(failing(1000))
    assert 840 < clock.now <= 900
    assert max(clock.pauses) == 60


def test_pauses_are_spread_over_the_whole_interval(retry: Retry, clock: Clock) -> None:
    dice = iter([0.0, 0.25, 0.5])
    assert replace(retry, random=lambda: next(dice))(failing(3)) == "done"
    assert clock.pauses == [0.0, 0.25, 1.0]


def test_other_errors_are_not_tried_again(retry: Retry, clock: Clock) -> None:
    with pytest.raises(AccessRefused):
        retry(failing(1, AccessRefused("no")))
    assert clock.pauses == []


def test_nested_policies_do_not_multiply(retry: Retry, clock: Clock) -> None:
    with pytest.raises(StorageUnavailable):
        retry(lambda: retry(failing(100)))
    assert len(clock.pauses) == 7


def test_a_stop_ends_a_running_pause() -> None:
    stop, tried = Event(), Event()

    def work() -> None:
        tried.set()
        raise StorageUnavailable("no answer")

    def run() -> None:
        with pytest.raises(StorageUnavailable):
            Retry(attempts=100, base_seconds=60, random=lambda: 1.0)(work, stop=stop)

    thread = Thread(target=run)
    thread.start()
    assert tried.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def cut_source(data: bytes, failures: list[int]) -> Callable[[int], object]:
    """Connections to `data` that break at the byte numbers in `failures`, each once."""

    @contextmanager
    def connect(done: int) -> Iterator[Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            for position in range(done, len(data)):
                if position in failures:
                    failures.remove(position)
                    raise StorageUnavailable(f"cut at {position}")
                yield data[position : position + 1]

        yield chunks()

    return connect


def test_a_read_goes_on_at_the_byte_it_had_reached(retry: Retry, clock: Clock) -> None:
    connect = cut_source(b"0123456789", [0, 3, 3, 9])
    with resume_reads(connect, retry) as chunks:
        assert b"".join(chunks) == b"0123456789"
    assert len(clock.pauses) == 1  # only the cut without progress before it had to wait


def test_progress_earns_new_tries(retry: Retry) -> None:
    data = bytes(range(200))
    with resume_reads(cut_source(data, list(range(1, 200))), retry) as chunks:
        assert b"".join(chunks) == data


def test_a_read_without_progress_ends_in_an_error(retry: Retry) -> None:
    with (
        pytest.raises(StorageUnavailable),
        resume_reads(cut_source(b"x", [0] * 100), retry) as chunks,
    ):
        list(chunks)


class Shaky(MemoryStorage):
    """Every other call fails; every other listing breaks after two objects."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _shake(self) -> None:
        self.calls += 1
        if self.calls % 2:
            raise StorageUnavailable("shaking")

    def stat(self, name: str) -> ObjectInfo:
        self._shake()
        return super().stat(name)

    def delete(self, name: str) -> None:
        self._shake()
        super().delete(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix)):
            if number == 2:
                self._shake()
            yield info


def test_any_storage_can_be_made_resilient(retry: Retry) -> None:
    shaky = Shaky()
    storage = ResilientStorage(shaky, retry)
    for name in (MARKER, "a", "b", "d"):
        sink = storage.create(name)
        sink.write(name.encode())
        sink.commit()
    assert storage.stat("a").size == 1
    assert [info.name for info in storage.list()] == ["a", "b", MARKER, "d"]
    storage.delete("a")
    assert [info.name for info in storage.list()] == ["b", MARKER, "d"]
    with storage.open("b", 0, 1) as chunks:
        assert b"".join(chunks) == b"b"
