"""Every PostgreSQL version at hand: back to itself, on to the next, never silently to an older."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from covetbackup.core.databases.base import restore_notes
from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Silent
from tests.support.other_suites import (
    POSTGRESQL_13,
    POSTGRESQL_17,
    POSTGRESQL_18,
    Origin,
    Unobtainable,
    unpacked,
)
from tests.support.postgres import PostgresServer, postgres_binaries, run_server
from tests.support.postgres_backup import contents, fill, fill_richly, put_back, take

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first run fetches packages

INSTALLED = "installed"
ROWS = [
    ("13", "13"),
    ("13", INSTALLED),
    (INSTALLED, INSTALLED),
    (INSTALLED, "17"),
    ("17", "17"),
    ("17", "18"),
    ("18", "18"),
]
ORIGINS = {"13": POSTGRESQL_13, "17": POSTGRESQL_17, "18": POSTGRESQL_18}


class Fleet:
    """Servers by version, each started when first asked for."""

    def __init__(self, running: ExitStack) -> None:
        self._running = running
        self._servers: dict[str, PostgresServer] = {}

    def server(self, version: str) -> PostgresServer:
        if version not in self._servers:
            self._servers[version] = self._start(version)
        return self._servers[version]

    def engine(self, server: PostgresServer, database: str) -> PostgresEngine:
        """It knows the clients of all servers running: a backup needs those of where it came
        from, also on the server it goes to."""
        return PostgresEngine(
            server.settings(database),
            server.password,
            client_directories=[running.binaries for running in self._servers.values()],
        )

    def _start(self, version: str) -> PostgresServer:
        if version in ORIGINS:
            (programs,) = _programs(ORIGINS[version])
        else:
            programs = next(iter(reversed(postgres_binaries())), None)
            if programs is None:
                pytest.skip("no PostgreSQL server is installed")
        return self._running.enter_context(run_server(programs))


def _programs(origin: Origin) -> set[Path]:
    try:
        root = unpacked(origin)
    except Unobtainable as error:
        pytest.skip(f"{origin.packages[0]} cannot be had: {error}")
    return {(root / pattern).parent for pattern in origin.programs}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with ExitStack() as running:
        yield Fleet(running)


@pytest.mark.parametrize(("source", "target"), ROWS)
def test_a_rich_database_comes_back_equal(fleet: Fleet, source: str, target: str) -> None:
    here, there = fleet.server(source), fleet.server(target)
    name = here.create_database(f"rich_{source}_{target}")
    fill_richly(here, name)
    taken = take(fleet.engine(here, name))
    engine = fleet.engine(there, "postgres")
    restored = put_back(engine, taken, there.url(f"{name}_copy"), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert contents(there, f"{name}_copy") == contents(here, name)


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_programs_of_18_alone_back_up_and_restore_an_older_server(
    fleet: Fleet, method: str
) -> None:
    server, programs = fleet.server(INSTALLED), fleet.server("18").binaries
    if server.major >= 17:
        pytest.skip("the installed server is not older")
    name = server.create_database(f"by_18_{method}")
    fill_richly(server, name)
    settings = server.settings(name)
    engine = PostgresEngine(settings, server.password, client_directories=[programs])
    taken = take(engine, method=method)
    assert any("dumped by programs of PostgreSQL 18" in line for line in taken.outcome.warnings)
    restored = put_back(engine, taken, server.url(f"{name}_copy"), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert contents(server, f"{name}_copy") == contents(server, name)


@pytest.mark.parametrize(
    ("source", "target"),
    [("13", INSTALLED), (INSTALLED, "17"), ("17", "18"), ("18", "18")],
)
def test_tables_and_rows_go_into_a_database_that_lives(
    fleet: Fleet, source: str, target: str
) -> None:
    here, there = fleet.server(source), fleet.server(target)
    name = here.create_database(f"part_{source}_{target}")
    fill_richly(here, name)
    taken = take(fleet.engine(here, name))
    living = there.create_database(f"{name}_living")
    tables, engine = ("public.customer", "public.sale"), fleet.engine(there, "postgres")
    with_share_of_workers = (("public", "beside"),)
    for selection in (
        Selection(tables, with_data=False),
        Selection(tables, with_structure=False),
        Selection(tables, schemas_as=with_share_of_workers),
        Selection(tables, schemas_as=(("public", "empty"),), with_data=False),
        Selection(tables, schemas_as=(("public", "empty"),), with_structure=False),
    ):
        options = RestoreRequest(living, selection=selection, into_existing=True)
        with engine.restore(options, taken.inventory, Silent()) as session:
            fill(session, taken.members)
            assert session.resolved is not None
            expected = session.resolved.restrict(taken.inventory)
            assert differences(expected, session.inventory()) == []
            session.commit()
    before, after = contents(here, name), contents(there, living)
    for table in ("customer", "sale"):
        found = {after[f"{schema}.{table}"] for schema in ("public", "beside", "empty")}
        assert found == {before[f"public.{table}"]}


@pytest.mark.parametrize(("source", "target"), [(INSTALLED, "13"), ("17", INSTALLED), ("18", "17")])
def test_an_older_server_is_refused_before_anything_is_written(
    fleet: Fleet, source: str, target: str
) -> None:
    here, there = fleet.server(source), fleet.server(target)
    if there.major >= here.major:
        pytest.skip("the installed server is not older")
    taken = take(fleet.engine(here, here.create_database(f"too_new_for_{target}")))
    before = there.databases()
    with pytest.raises(BadSetting, match=f"this server is {there.major}"):
        put_back(fleet.engine(there, "postgres"), taken, there.url("never"))
    assert there.databases() == before


@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_an_unlogged_partitioned_table_comes_to_a_server_that_refuses_the_word(
    fleet: Fleet, method: str
) -> None:
    here, there = fleet.server(INSTALLED), fleet.server("18")
    if here.major >= 18:
        pytest.skip("the installed server refuses it itself")
    name = here.create_database(f"unlogged_{method}")
    here.execute(
        name,
        "CREATE UNLOGGED TABLE p (id int) PARTITION BY RANGE (id)",
        "CREATE UNLOGGED TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9)",
        "INSERT INTO p VALUES (1), (2)",
    )
    taken = take(fleet.engine(here, name), method=method)
    options = RestoreRequest(f"{name}_copy")
    with fleet.engine(there, "postgres").restore(options, taken.inventory, Silent()) as session:
        fill(session, taken.members)
        assert differences(taken.inventory, session.inventory()) == []
        (note,) = restore_notes(session)
        session.commit()
    assert "table public.p is not unlogged any more" in note
    assert there.rows(f"{name}_copy", "SELECT count(*) FROM p") == [(2,)]
    kinds = "SELECT relpersistence::text FROM pg_class WHERE relname = 'p1'"
    assert there.rows(f"{name}_copy", kinds) == [("u",)]
