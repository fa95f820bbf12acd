"""The engine's stream alone: a pipe in, a stored member out, against zstd and openssl."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.bench import report
from tests.bench.data import write_mixed
from tests.bench.measure import (
    Run,
    Size,
    alternate,
    new_repository,
    own_job,
    shell_job,
    work_folder,
)

_MIB = 1 << 20
_KEY = ("-K", "5a" * 32, "-iv", "a5" * 16)  # a raw key: no time goes into deriving one


def run(size: Size) -> None:
    count = (128 if size.quick else 1024) * _MIB
    with work_folder(2 * count) as folder:
        source = folder / "mixed"
        write_mixed(source, count)
        result = alternate(size.rounds, lambda: _ours(source), lambda: _theirs(source))
    report.pair(f"stream, {count // _MIB} MiB", result, target="speed >= 1.15, RSS <= 90 MiB")


def _ours(source: Path) -> Run:
    folder = source.with_name("repository")
    repository = new_repository(folder)
    try:
        return own_job(
            "store_stream",
            source=source,
            repository=repository,
            codec="zstd:3",
            suite="aes-256-gcm",
        )
    finally:
        shutil.rmtree(folder)


def _theirs(source: Path) -> Run:
    return shell_job(
        ["cat", source],
        ["zstd", "-q", "-3", "-T2"],
        ["openssl", "enc", "-aes-256-ctr", *_KEY],
        output=source.with_name("output"),
    )
