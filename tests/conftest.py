"""The fixtures that every folder may use, and how tests are shared out among processes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.support.mariadb", "tests.support.postgres", "tests.support.s3"]

_LONGEST_FIRST = ("tests/browser/", "tests/web/jobs/", "tests/servers/", "tests/web/")
"""Folders whose tests take minutes begin first, so that no process works alone at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, which starts their servers once; those of all
    browser tests too, as they share a dashboard."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(config, item.path)))
    items.sort(key=lambda item: _rank(config, item.path))


def _group(config: pytest.Config, path: Path) -> str:
    name = path.relative_to(config.rootpath).as_posix()
    return "browser" if name.startswith("tests/browser/") else name


def _rank(config: pytest.Config, path: Path) -> int:
    name = path.relative_to(config.rootpath).as_posix()
    ranks = (rank for rank, folder in enumerate(_LONGEST_FIRST) if name.startswith(folder))
    return next(ranks, len(_LONGEST_FIRST))
