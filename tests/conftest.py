"""Shared fixtures. Each support module starts one kind of private server and stops it."""

from __future__ import annotations

pytest_plugins = ["tests.support.mariadb", "tests.support.postgres", "tests.support.s3"]
