"""Private S3 servers for tests and demo: a program, the port it chose, one client of it.

Needs no test package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

_ACCESS_KEY = "covetaccesskey"
_SECRET_KEY = "covetsecretkey"
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """One empty bucket and the way to it; `client` is a plain boto3 client for assertions."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    client: Any = field(repr=False, compare=False)

    def unfinished_uploads(self) -> list[str]:
        try:
            answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        except self.client.exceptions.NoSuchUpload:  # rclone's way to say: none
            return []
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@contextmanager
def run_rclone(home: Path) -> Iterator[Any]:
    """A client of `rclone serve s3`, whose files lie in the empty directory `home`."""
    (home / "data").mkdir()
    program = Path(sys.executable).with_name("rclone")
    command = [program, "serve", "s3", "--config", home / "rclone.conf", "--addr", "127.0.0.1:0"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "RCLONE_CACHE_DIR": str(home / "cache"),
        "RCLONE_AUTH_KEY": f'"{_ACCESS_KEY},{_SECRET_KEY}"',
    }
    with run_server([*command, home / "data"], environment, home / "log") as client:
        yield client


@contextmanager
def run_server(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path
) -> Iterator[Any]:
    """A client of the S3 server that `command` starts; the server is stopped at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield _client(_announced_url(process, log))
    finally:
        process.terminate()
        process.wait()


def new_bucket(client: Any) -> S3Endpoint:
    bucket = f"covet-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    return S3Endpoint(client.meta.endpoint_url, _ACCESS_KEY, _SECRET_KEY, bucket, client)


def _client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=_ACCESS_KEY,
        aws_secret_access_key=_SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )


def _announced_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """The server chose its port itself: no race for a free one."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()}")
