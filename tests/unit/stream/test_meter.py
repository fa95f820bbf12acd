"""Filters that look: counting and comparing."""

from __future__ import annotations

import hashlib

import pytest

from covetbackup.core.errors import Cancelled, DigestMismatch, TooLarge, Truncated
from covetbackup.core.progress import Silent
from covetbackup.core.stream.meter import Meter, VerifyDigest, count_progress
from covetbackup.core.stream.pump import pump
from tests.support.streams import MemorySink, source_of

DATA = b"forty-two bytes of a dump, no more no less"
SHA256 = hashlib.sha256(DATA).hexdigest()


class Recorder(Silent):
    def __init__(self) -> None:
        self.counts: list[int] = []

    def advance(self, count: int) -> None:
        self.counts.append(count)


def expecting(data: bytes) -> bytes:
    sink = MemorySink()
    filters = [VerifyDigest(len(DATA), SHA256, "member dump.pgc")]
    pump(source_of([data[:10], b"", data[10:]]), filters, sink)
    return sink.committed


def test_a_meter_counts_and_hashes_what_passes():
    recorder, sink = Recorder(), MemorySink()
    meter = Meter(recorder)
    pump(source_of([DATA[:10], b"", DATA[10:]]), [meter], sink)
    assert (meter.size, meter.sha256) == (len(DATA), SHA256)
    assert recorder.counts == [10, 0, len(DATA) - 10]
    assert sink.committed == DATA


def test_a_meter_of_nothing_has_the_digest_of_nothing():
    meter = Meter(Silent())
    assert list(meter(iter([]))) == []
    assert (meter.size, meter.sha256) == (0, hashlib.sha256().hexdigest())


def test_a_cancel_in_progress_aborts_the_stream():
    class Cancelling(Silent):
        def advance(self, count):
            raise Cancelled

    sink = MemorySink()
    with pytest.raises(Cancelled):
        pump(source_of([b"data"]), [Meter(Cancelling())], sink)
    assert sink.was_aborted


def test_the_promised_bytes_pass():
    assert expecting(DATA) == DATA


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Truncated),
        (DATA[:-1], Truncated),
        (DATA + b"!", TooLarge),
        (DATA.replace(b"dump", b"dumb"), DigestMismatch),
    ],
    ids=["nothing", "a byte short", "a byte long", "a byte changed"],
)
def test_other_bytes_are_refused_by_name(data, error):
    with pytest.raises(error, match="member dump.pgc"):
        expecting(data)


def test_no_byte_beyond_the_promised_ones_is_passed_on():
    passed = []
    with pytest.raises(TooLarge):
        for piece in VerifyDigest(4, SHA256, "dump")(iter([b"1234", b"5" * 1000, b"6" * 1000])):
            passed.append(piece)
    assert passed == [b"1234"]


def test_watching_tells_progress_of_every_piece_and_of_idleness():
    seen = []

    class Noting(Silent):
        def advance(self, count):
            seen.append(count)

    assert list(count_progress(Noting())(iter([b"abc", b"", b"de"]))) == [b"abc", b"", b"de"]
    assert seen == [3, 0, 2]
