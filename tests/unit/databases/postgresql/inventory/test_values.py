"""The pure parts: what to count, what a count says, properties as statements, versions."""

from __future__ import annotations

import json

import pytest

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.inventory.counts import affordable, table_facts
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.inventory.properties import property_statements
from covetbackup.core.databases.postgresql.restore.check_server import (
    version_major,
)
from covetbackup.core.errors import BadSetting


def _table(oid: int, size: int = 0, **fields: object) -> Relation:
    values: dict[str, object] = {
        "oid": oid,
        "schema": "s",
        "name": f"t{oid}",
        "kind": "r",
        "pages_bytes": size,
        "estimate": 7,
        "load_root": 0,
        "condition": "",
        "unlogged": False,
        "toast_bytes": 0,
        "is_heap": True,
        **fields,
    }
    return Relation(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "counted"), [(99, [3]), (100, [3, 1]), (100 + 199, [3, 1]), (300, [3, 1, 2])]
)
def test_small_tables_are_counted_first_and_within_the_budget(
    budget: int, counted: list[int]
) -> None:
    tables = [_table(1, 100), _table(2, 200), _table(3, 0), _table(4, 0, kind="p")]
    assert [table.oid for table in affordable(tables, budget)] == counted


def test_what_was_not_counted_is_an_estimate_and_says_so() -> None:
    tables = [_table(1), _table(2), _table(3, estimate=-1), _table(4, kind="p")]
    facts = table_facts(tables, {1: 5}, unlogged_lost=False)
    assert [(fact.rows, fact.exact) for fact in facts] == [
        (5, True),
        (7, False),
        (None, False),
        (None, False),
    ]


@pytest.mark.parametrize(("counts", "total"), [({2: 5, 3: 6}, (11, True)), ({2: 5}, (None, False))])
def test_partitions_that_exchange_rows_are_summed_at_their_parent(
    counts: dict[int, int], total: tuple[int | None, bool]
) -> None:
    tables = [_table(1, kind="p", load_root=1), _table(2, load_root=1), _table(3, load_root=1)]
    facts = table_facts(tables, counts, unlogged_lost=False)
    assert [(fact.rows, fact.exact) for fact in facts] == [total, (None, False), (None, False)]


def test_unlogged_rows_are_unknown_where_they_are_lost() -> None:
    table = [_table(1, unlogged=True)]
    assert table_facts(table, {1: 5}, unlogged_lost=True)[0].rows is None
    assert table_facts(table, {1: 5}, unlogged_lost=False)[0].rows == 5


def _statements(keep_owner: bool, **settings: str) -> list[str]:
    inventory = Inventory(settings=settings)
    statements = property_statements("db", inventory, keep_owner=keep_owner)
    return [statement.as_string() for statement in statements]


def test_properties_of_roles_are_left_out_with_their_roles() -> None:
    settings = {
        "owner": "old",
        "comment": "it's",
        "connection_limit": "-1",
        "grants": json.dumps([["", "CONNECT", False], ['g"x', "CREATE", True]]),
        "configuration": json.dumps([["", "work_mem", "1MB"], ["g", "my.setting", "x"]]),
    }
    assert _statements(True, **settings) == [
        'ALTER DATABASE "db" SET "work_mem" TO \'1MB\'',
        "COMMENT ON DATABASE \"db\" IS 'it''s'",
        'ALTER DATABASE "db" OWNER TO "old"',
        'REVOKE ALL ON DATABASE "db" FROM "old"',
        'GRANT CONNECT ON DATABASE "db" TO PUBLIC',
        'GRANT CREATE ON DATABASE "db" TO "g""x" WITH GRANT OPTION',
        'ALTER ROLE "g" IN DATABASE "db" SET "my.setting" TO \'x\'',
    ]
    assert _statements(False, **settings) == [
        'ALTER DATABASE "db" SET "work_mem" TO \'1MB\'',
        "COMMENT ON DATABASE \"db\" IS 'it''s'",
        'GRANT CONNECT, TEMPORARY ON DATABASE "db" TO PUBLIC',
    ]


@pytest.mark.parametrize(
    ("value", "literals"),
    [
        ("public", "'public'"),
        ('"$user", public', "'$user', 'public'"),
        ('"a, ""b"""', "'a, \"b\"'"),
        ('""', "''"),
        ("", "''"),
    ],
)
def test_a_search_path_stays_a_list_of_names(value: str, literals: str) -> None:
    configuration = json.dumps([["", "search_path", value]])
    first = _statements(False, configuration=configuration)[0]
    assert first == f'ALTER DATABASE "db" SET "search_path" TO {literals}'


def test_a_privilege_that_is_none_is_refused() -> None:
    grants = json.dumps([["x", "CONNECT ON DATABASE db TO y; --", False]])
    with pytest.raises(BadSetting):
        _statements(True, grants=grants)


@pytest.mark.parametrize(
    ("text", "major"),
    [("15.4 (Debian 15.4-1)", 15), ("18beta1", 18), ("17", 17), ("", None), ("next", None)],
)
def test_a_major_version_is_read_from_any_notation(text: str, major: int | None) -> None:
    assert version_major(text) == major
