"""Write paths, damaged: `kill -9` and a dying sink. Dying sources and cancels are in the suite."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.errors import StorageError
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.stream.pump import pump
from tests.support.s3 import S3Endpoint
from tests.support.s3_faults import error, faulty

PART = 8 * 1024 * 1024
TOMORROW = datetime.now(UTC) + timedelta(days=1)

_WRITER = """
import json, sys, time
from covetbackup.core.storage.registry import S3Credentials, open_storage
url, keys = json.load(sys.stdin)
storage = open_storage(url, S3Credentials(*keys) if keys else None)
sink = storage.create("a/object")
sink.write(bytes(2 * 8 * 1024 * 1024 + 1))
print("writing", flush=True)
time.sleep(60)
"""


def put(storage: Storage, name: str, data: bytes) -> None:
    sink = storage.create(name)
    sink.write(data)
    sink.commit()


def names(storage: Storage) -> list[str]:
    return [info.name for info in storage.list()]


def kill_a_writer(url: str, keys: tuple[str, str] | None) -> None:
    """Start a writer in a process of its own and kill it in the middle of an object."""
    command = [sys.executable, "-c", _WRITER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps([url, keys]))
        child.stdin.close()
        assert child.stdout.readline() == "writing\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL


@contextmanager
def source() -> Iterator[Iterator[bytes]]:
    yield iter([bytes(PART)] * 3)


def test_a_killed_writer_leaves_a_temp_file_that_sweep_removes(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path}")
    put(storage, MARKER, b"{}")
    kill_a_writer(f"file://{tmp_path}", None)
    assert names(storage) == [MARKER]
    assert len(list((tmp_path / "a").iterdir())) == 1
    assert storage.cleanup(TOMORROW) == ["a/object"]
    assert [path.name for path in tmp_path.rglob("*")] == [MARKER]


@pytest.mark.parametrize("store", ["rclone_s3", "moto_s3"])
def test_a_killed_writer_leaves_an_upload_that_sweep_aborts(
    request: pytest.FixtureRequest, store: str
) -> None:
    endpoint: S3Endpoint = request.getfixturevalue(store)
    url = f"s3://{endpoint.bucket}/deep?endpoint={endpoint.url}"
    keys = (endpoint.access_key, endpoint.secret_key)
    storage = open_storage(url, S3Credentials(*keys))
    put(storage, MARKER, b"{}")
    kill_a_writer(url, keys)
    assert names(storage) == [MARKER]
    assert endpoint.unfinished_uploads() == ["deep/a/object"]
    assert storage.cleanup(TOMORROW) == ["a/object"]
    assert endpoint.unfinished_uploads() == []
    assert endpoint.keys() == [f"deep/{MARKER}"]


def test_a_dying_store_leaves_no_object_and_no_upload(rclone_s3: S3Endpoint) -> None:
    with faulty(rclone_s3.url) as proxy:
        credentials = S3Credentials(rclone_s3.access_key, rclone_s3.secret_key)
        url = f"s3://{rclone_s3.bucket}/?endpoint={proxy.url}"
        storage = open_storage(url, credentials)
        put(storage, MARKER, b"{}")
        proxy.spoil("PUT", "partNumber=2", error(403, "AccessDenied"), times=9)
        with pytest.raises(StorageError, match="access denied"):
            pump(source(), [], storage.create("a/object"))
        assert names(storage) == [MARKER]
    assert rclone_s3.unfinished_uploads() == []
