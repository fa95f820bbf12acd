"""Every codec and every cipher, there and back, on the same mixed data."""

from __future__ import annotations

from pathlib import Path

from covetbackup.core.crypto.suites import Suite
from tests.bench import report
from tests.bench.data import write_mixed
from tests.bench.measure import Size, own_job, work_folder

_MIB = 1 << 20
_FAST = ("none", "zstd:1", "zstd:3", "zstd:9", "gzip:1", "gzip:6", "gzip:9")
_SLOW = ("bzip2:9", "lzma:1", "lzma:6", "zstd:19")
_SLOW_SHARE = 4  # they take half a minute for what the others do in one second


def run(size: Size) -> None:
    count = (16 if size.quick else 128) * _MIB
    with work_folder(3 * count) as folder:
        source, part = folder / "mixed", folder / "part"
        write_mixed(source, count)
        write_mixed(part, count // _SLOW_SHARE)
        report.row(("codec, cipher", "MB/s in", "MB/s out", "ratio", "RSS MiB"))
        for codec in _FAST:
            _measure(source, codec, "")
        for codec in _SLOW:
            _measure(part, codec, "")
        for suite in Suite:
            _measure(source, "none", suite.value)
        for suite in Suite:
            _measure(source, "zstd:3", suite.value)


def _measure(source: Path, codec: str, suite: str) -> None:
    target = source.with_name("stored")
    run = own_job("there_and_back", source=source, target=target, codec=codec, suite=suite)
    facts = run.facts or {}
    megabytes = source.stat().st_size / 1e6
    report.row(
        (
            f"{codec}, {suite or 'not encrypted'}",
            f"{megabytes / facts['in_seconds']:.0f}",
            f"{megabytes / facts['out_seconds']:.0f}",
            f"{facts['ratio']:.2f}",
            f"{run.peak_mib:.0f}",
        )
    )
