"""What entries of an archive speak of: roles, tablespaces, columns."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.postgresql.archive import copy_sql
from covetbackup.core.databases.postgresql.archive.contents import Entry, Section
from covetbackup.core.databases.postgresql.archive.server_requirements import (
    roles_of,
    tablespaces_of,
)


def entry(kind: str = "TABLE", **fields: bytes) -> Entry:
    given = {"tag": b"t", "definition": b"", "copy_statement": b"", "schema": b"s", "raw": b""}
    return Entry(
        dump_id=1,
        has_data=False,
        oid=1,
        kind=kind.encode(),
        section=Section.PRE_DATA,
        dependencies=(),
        **{**given, **fields},
    )


@pytest.mark.parametrize(
    ("kind", "definition", "roles"),
    [
        ("ACL", b"GRANT SELECT ON TABLE s.t TO reader;\n", {"reader"}),
        ("ACL", b'GRANT ALL ON TABLE s.t TO "o\'d ""one""" WITH GRANT OPTION;', {'o\'d "one"'}),
        ("ACL", b"REVOKE ALL ON TABLE s.t FROM PUBLIC;", set()),
        (
            "ACL",
            b"SET SESSION AUTHORIZATION giver;\nGRANT SELECT(a) ON TABLE s.t TO taker;",
            {"giver", "taker"},
        ),
        ("POLICY", b"CREATE POLICY p ON s.t TO a, b USING ((x = 1));", {"a", "b"}),
        ("DEFAULT ACL", b"ALTER DEFAULT PRIVILEGES FOR ROLE me GRANT SELECT TO you", {"me", "you"}),
        ("FUNCTION", b"CREATE FUNCTION s.f() AS 'GRANT x TO nobody'", set()),
    ],
)
def test_roles_are_owners_and_those_that_are_granted_something(
    kind: str, definition: bytes, roles: set[str]
) -> None:
    assert roles_of([entry(kind, definition=definition, owner=b"boss")]) == {"boss", *roles}


def test_tablespaces_are_those_of_the_entries() -> None:
    assert tablespaces_of([entry(tablespace=b"fast"), entry()]) == {"fast"}


@pytest.mark.parametrize(
    ("statement", "columns", "renamed"),
    [
        (b"COPY s.t (a, b) FROM stdin;\n", ("a", "b"), b'COPY "n""w".t (a, b) FROM stdin;\n'),
        (b"COPY s.t  FROM stdin;\n", (), b'COPY "n""w".t  FROM stdin;\n'),
        (
            b'COPY s."s.t (x) FROM" ("a, ""b""", "c)") FROM stdin;\n',
            ('a, "b"', "c)"),
            b'COPY "n""w"."s.t (x) FROM" ("a, ""b""", "c)") FROM stdin;\n',
        ),
        (b'COPY "S".s (s) FROM stdin;\n', ("s",), b'COPY "S".s (s) FROM stdin;\n'),
    ],
)
def test_rows_can_be_loaded_into_another_schema(
    statement: bytes, columns: tuple[str, ...], renamed: bytes
) -> None:
    rows = entry("TABLE DATA", copy_statement=statement)
    assert copy_sql.column_names(rows) == columns
    assert copy_sql.copy_from_stdin(rows, {b"s": b'n"w'}) == renamed
    assert copy_sql.copy_from_stdin(rows, {}) == statement
