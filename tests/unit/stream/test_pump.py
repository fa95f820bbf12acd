"""The loop: it commits only what is whole, and closes all that it opened."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from covetbackup.core.errors import Cancelled, SinkFailed, SourceFailed, Truncated
from covetbackup.core.stream.pump import drain, filtered, pump
from tests.support.streams import MemorySink, source_of


def unharmed(chunks):
    yield from chunks


def incomplete(chunks):
    yield from chunks
    raise Truncated("no final chunk")


@pytest.mark.parametrize("pieces", [[], [b""], [b"a"], [b"a", b"", b"b"]])
def test_what_comes_in_is_committed(pieces):
    sink = MemorySink()
    pump(source_of(pieces), [unharmed, unharmed], sink)
    assert sink.committed == b"".join(pieces)


@pytest.mark.parametrize("error", [SourceFailed("died"), Cancelled(), KeyboardInterrupt()])
def test_a_source_that_does_not_end_cleanly_is_not_committed(error):
    sink = MemorySink()
    with pytest.raises(type(error)):
        pump(source_of([b"most of it"], then=error), [unharmed], sink)
    assert sink.was_aborted and sink.committed is None


def test_a_filter_that_misses_something_at_the_end_prevents_the_commit():
    sink = MemorySink()
    with pytest.raises(Truncated):
        pump(source_of([b"a"]), [incomplete, unharmed], sink)
    assert sink.was_aborted


@pytest.mark.parametrize("fails_after", [0, None], ids=["write", "commit"])
def test_a_sink_that_fails_is_aborted(fails_after):
    sink = MemorySink(fails_after=fails_after, error=SinkFailed("full"))
    with pytest.raises(SinkFailed):
        pump(source_of([b"a"]), [], sink)
    assert sink.was_aborted


def test_a_source_that_fails_while_it_is_left_is_not_committed():
    @contextmanager
    def failing():
        yield iter([b"all of it"])
        raise SourceFailed("status 1")

    sink = MemorySink()
    with pytest.raises(SourceFailed):
        pump(failing(), [], sink)
    assert sink.was_aborted


def test_a_source_that_cannot_be_opened_aborts_the_sink():
    @contextmanager
    def missing():
        raise SourceFailed("cannot connect")
        yield iter([])

    sink = MemorySink()
    with pytest.raises(SourceFailed):
        pump(missing(), [], sink)
    assert sink.was_aborted


def test_filters_are_closed_last_one_first_and_the_source_after_them():
    closed = []

    def noting(name):
        def apply(chunks):
            try:
                yield from (chunk for chunk in chunks)
            finally:
                closed.append(name)

        return apply

    @contextmanager
    def source():
        yield iter([b"a", b"b"])
        closed.append("source")

    with filtered(source(), [noting("first"), noting("second")]) as chunks:
        assert next(chunks) == b"a"
    assert closed == ["second", "first", "source"]


def test_draining_reads_everything_and_sees_what_is_missing():
    with pytest.raises(Truncated):
        drain(source_of([b"a", b"b"]), [incomplete])
    drain(source_of([b"a", b"b"]), [unharmed])
