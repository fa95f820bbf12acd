"""One stream, many sinks: lost copies drop out, the rest go on."""

from __future__ import annotations

import pytest

from covetbackup.core.errors import Cancelled, SinkFailed, SourceFailed, StorageFull
from covetbackup.core.stream.fanout import FanOut
from covetbackup.core.stream.pump import pump
from tests.support.streams import MemorySink, source_of

FULL = StorageFull("disk is full", hint="free some space")


def broken() -> MemorySink:
    return MemorySink(fails_after=4, error=FULL)


def test_every_copy_is_the_same():
    sinks = {"local": MemorySink(), "s3": MemorySink()}
    fan = FanOut(sinks)
    pump(source_of([b"one", b"two"]), [], fan)
    assert {sink.committed for sink in sinks.values()} == {b"onetwo"}
    assert fan.failures == {}


def test_a_copy_that_fails_is_aborted_and_the_rest_go_on():
    lost, kept = broken(), MemorySink()
    fan = FanOut({"lost": lost, "kept": kept})
    pump(source_of([b"one", b"two", b"three"]), [], fan)
    assert kept.committed == b"onetwothree"
    assert not kept.was_aborted
    assert lost.was_aborted
    assert fan.failures == {"lost": FULL}


def test_a_copy_that_fails_to_commit_is_aborted_and_the_rest_are_kept():
    lost, kept = MemorySink(error=FULL), MemorySink()
    fan = FanOut({"lost": lost, "kept": kept})
    pump(source_of([b"one"]), [], fan)
    assert kept.committed == b"one" and not kept.was_aborted
    assert lost.was_aborted
    assert fan.failures == {"lost": FULL}


def test_the_only_copys_own_error_is_raised():
    with pytest.raises(StorageFull):
        pump(source_of([b"one", b"two"]), [], FanOut({"local": broken()}))


@pytest.mark.parametrize("sink", [broken, lambda: MemorySink(error=FULL)], ids=["write", "commit"])
def test_when_all_fail_each_is_named(sink):
    fan = FanOut({"local": sink(), "s3": sink()})
    with pytest.raises(SinkFailed, match=r"local: disk is full; s3: disk is full") as failure:
        pump(source_of([b"one", b"two"]), [], fan)
    assert failure.value.hint == "free some space"
    assert set(fan.failures) == {"local", "s3"}


@pytest.mark.parametrize("error", [Cancelled(), SourceFailed("died")], ids=["cancel", "source"])
def test_whatever_ends_the_stream_aborts_all_copies(error):
    sinks = [MemorySink(), MemorySink()]
    fan = FanOut(dict(zip("ab", sinks, strict=True)))
    with pytest.raises(type(error)):
        pump(source_of([b"one"], then=error), [], fan)
    assert all(sink.was_aborted for sink in sinks)
    assert fan.failures == {}


def test_a_cancel_while_committing_aborts_what_is_not_committed():
    class Cancelling(MemorySink):
        def commit(self):
            raise Cancelled

    first, second, third = MemorySink(), Cancelling(), MemorySink()
    with pytest.raises(Cancelled):
        pump(source_of([b"x"]), [], FanOut({"a": first, "b": second, "c": third}))
    assert first.committed == b"x" and not first.was_aborted
    assert second.was_aborted and third.was_aborted


def test_one_abort_that_raises_does_not_spare_the_others():
    class Stubborn(MemorySink):
        def abort(self):
            raise RuntimeError("bug")

    last = MemorySink()
    with pytest.raises(RuntimeError):
        FanOut({"a": Stubborn(), "b": last}).abort()
    assert last.was_aborted
