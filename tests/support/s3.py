"""Fixtures: private S3 servers, stopped at the end, and a new empty bucket for each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import create_loader

from tests.support.s3_server import S3Endpoint, new_bucket, run_rclone, run_server

__all__ = ["S3Endpoint"]


@pytest.fixture(scope="session")
def boto_data() -> Iterator[None]:
    """boto3's descriptions of services, parsed once: they cost 0.3 s for each new client."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda search_path=None: loader)
        yield


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory, boto_data: None) -> Iterator[Any]:
    """A client of `rclone serve s3`: checks signatures, ignores If-None-Match."""
    with run_rclone(tmp_path_factory.mktemp("rclone")) as client:
        yield client


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory, boto_data: None) -> Iterator[Any]:
    """A client of moto's server: honours If-None-Match, shows storage class and encryption.

    Its listings come in pages of 10.
    """
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "10"}
    with run_server(command, environment, tmp_path_factory.mktemp("moto") / "log") as client:
        yield client


@pytest.fixture
def rclone_s3(rclone_server: Any) -> S3Endpoint:
    """A new empty bucket on rclone."""
    return new_bucket(rclone_server)


@pytest.fixture
def moto_s3(moto_server: Any) -> S3Endpoint:
    """A new empty bucket on moto."""
    return new_bucket(moto_server)
