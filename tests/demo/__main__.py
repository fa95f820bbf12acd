"""`python -m tests.demo`: two databases to disk and to S3 and back, in a minute and headless.

Starts what it needs, in temporary folders and on free ports, and leaves nothing behind.
Exit status: 0 all identical, 1 something differs or failed, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from covetbackup.core.crypto.keyring import Keyring, new_keys, write_new_keys
from covetbackup.core.errors import CovetError
from covetbackup.core.manager import create_repository
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.registry import S3Credentials
from tests.demo import table
from tests.demo.databases import PostgresShop, SqliteShop
from tests.demo.walk import Places, Result, walk
from tests.support.postgres_server import postgres_binaries, run_server
from tests.support.s3_server import new_bucket, run_rclone


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    began = time.perf_counter()
    try:
        results = list(_demo())
    except KeyboardInterrupt:
        print("interrupted; everything is removed", file=sys.stderr)
        return 130
    except CovetError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 1
    print()
    for line in table.lines(results):
        print(line)
    print(f"\nzstd:3, AES-256-GCM; {time.perf_counter() - began:.0f} s in all")
    faults = [f"{result.kind}: {fault}" for result in results for fault in result.faults]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    # The second signal of an impatient person must not stop the cleaning up after the first.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _demo() -> Iterator[Result]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="covet-demo-")))
        local = create_repository((folder / "repository").as_uri())
        s3 = _s3_repository(stack, folder / "s3")
        server = stack.enter_context(run_server(postgres_binaries()[-1]))
        working, recovery = _keys(folder)
        print(f"PostgreSQL {server.major}, an S3 server and two repositories are ready")
        yield walk(SqliteShop(folder), Places(local, s3, working, local, working))
        # From the other place, and with nothing but the keys that lie in the safe.
        yield walk(PostgresShop(server), Places(local, s3, working, s3, recovery))


def _s3_repository(stack: ExitStack, folder: Path) -> BackupRepository:
    folder.mkdir()
    endpoint = new_bucket(stack.enter_context(run_rclone(folder)))
    return create_repository(
        f"s3://{endpoint.bucket}/backups?endpoint={endpoint.url}&region=us-east-1&path_style=1",
        S3Credentials(endpoint.access_key, endpoint.secret_key),
    )


def _keys(folder: Path) -> tuple[Keyring, Keyring]:
    working, recovery = folder / "working.key", folder / "recovery.key"
    write_new_keys(new_keys(), working, recovery)
    return Keyring.load([working]), Keyring.load([recovery])


if __name__ == "__main__":
    raise SystemExit(main())
