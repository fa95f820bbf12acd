"""The client programs that fit a server are found; those that do not are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.server.clients import (
    PostgresClients,
    find_clients,
    select_clients,
)
from covetbackup.core.errors import ToolMissing, ToolTooOld


def _clients(*majors: int) -> list[PostgresClients]:
    return [PostgresClients(Path(f"/pg/{major}"), major, f"{major}.1") for major in majors]


@pytest.mark.parametrize(
    ("installed", "server", "chosen"),
    [((13, 15, 17), 15, 15), ((13, 17, 16), 15, 16), ((18,), 13, 18), ((17, 15), 17, 17)],
)
def test_the_servers_own_version_is_preferred_then_the_nearest_newer(
    installed: tuple[int, ...], server: int, chosen: int
) -> None:
    assert select_clients(_clients(*installed), major=server).major == chosen


def test_only_older_clients_are_refused_with_the_package_to_install() -> None:
    with pytest.raises(ToolTooOld, match="version 15, too old for version 17") as caught:
        select_clients(_clients(13, 15), major=17)
    assert "postgresql-client-17" in caught.value.hint


def test_no_clients_at_all_are_reported_with_the_package_to_install() -> None:
    with pytest.raises(ToolMissing) as caught:
        select_clients([], major=16)
    assert "postgresql-client-16" in caught.value.hint


def test_only_complete_working_sets_are_found(tmp_path: Path) -> None:
    whole = _installed(tmp_path / "whole", "echo 'pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)'")
    partial = _installed(tmp_path / "partial", "echo 'pg_dump (PostgreSQL) 16.1'")
    (partial / "pg_restore").unlink()
    broken = _installed(tmp_path / "broken", "exit 1")
    strange = _installed(tmp_path / "strange", "echo hello")
    linked = tmp_path / "linked"  # as /usr/bin, whose programs choose a version by themselves
    linked.mkdir()
    for program in whole.iterdir():
        (linked / program.name).symlink_to(program)
    found = find_clients([partial, broken, strange, linked, whole, whole])
    assert found == [PostgresClients(whole, 17, "17.5")]
    assert found[0].path("pg_dump") == str(whole / "pg_dump")


def _installed(directory: Path, behaviour: str) -> Path:
    directory.mkdir()
    for program in ("pg_dump", "pg_dumpall", "pg_restore"):
        path = directory / program
        path.write_text(f"#!/bin/sh\n{behaviour}\n")
        path.chmod(0o755)
    return directory
