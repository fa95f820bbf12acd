"""The fixtures that every folder may use, and how tests are shared out among processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.support.mariadb", "tests.support.postgres", "tests.support.s3"]

_LONGEST_FIRST = ("tests/browser/", "tests/web/jobs/", "tests/servers/", "tests/web/")
"""Folders whose tests take minutes begin first, so that no process works alone at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(config, item.path))


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    # The option --dist=loadgroup of pytest-xdist 3.8 has no effect with pytest 9.2, which does not
    # read the ids that it writes.
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    """Keeps the tests of a file in one process, which starts their servers once; those of all
    browser tests too, as they share a dashboard."""

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.partition("::")[0]
        return "tests/browser/" if name.startswith("tests/browser/") else name


def _rank(config: pytest.Config, path: Path) -> int:
    name = path.relative_to(config.rootpath).as_posix()
    ranks = (rank for rank, folder in enumerate(_LONGEST_FIRST) if name.startswith(folder))
    return next(ranks, len(_LONGEST_FIRST))
