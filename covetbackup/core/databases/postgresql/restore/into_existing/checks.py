"""The checks of an existing PostgreSQL database before tables or rows are restored into it.

What a restore itself refuses is checked by the same functions, so that a check and the restore
after it cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from psycopg import errors

from covetbackup.core.databases.checks import (
    Check,
    Level,
    counted,
    existing_rows,
    failed,
    join_names,
)
from covetbackup.core.databases.postgresql.restore.compatibility import (
    answer_check,
    requirement_checks,
    with_selection_requirements,
    writable_check,
)
from covetbackup.core.databases.postgresql.restore.disk_space import disk_space
from covetbackup.core.databases.postgresql.restore.into_existing import (
    create_tables,
    foreign_keys,
    table_checks,
)
from covetbackup.core.databases.postgresql.restore.into_existing.requalify import schemas_that_stay
from covetbackup.core.databases.postgresql.restore.into_existing.schema_rename import refuse_taken
from covetbackup.core.databases.postgresql.restore.into_existing.table_checks import NAMED
from covetbackup.core.databases.postgresql.restore.privileges import superuser_only
from covetbackup.core.databases.postgresql.server.connection import Connection, PostgresSettings
from covetbackup.core.databases.postgresql.server.maintenance import database_connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import CovetError, ServerBusy, as_sentence
from covetbackup.core.stream.secret import Secret

# Less than the checks may take in all: a session that waits longer would never be ended.
_SECONDS = 5
_LIMITS = {"lock_timeout": _SECONDS, "statement_timeout": _SECONDS}


def check_existing_database(
    settings: PostgresSettings, password: Secret | None, planned: PlannedRestore
) -> list[Check]:
    """Return the checks of the database of `settings`.

    One that cannot be reached is a check that failed.
    """
    planned = with_selection_requirements(planned)
    try:
        name = planned.request.database
        with database_connection(settings, password) as connection, _time_limits(connection, name):
            return [
                answer_check(connection, settings),
                Check(Level.PASS, "Database", f"{name} exists."),
                writable_check(connection),
                *requirement_checks(connection, planned),
                *_compatibility(connection, planned),
                *disk_space(connection, planned),
            ]
    except CovetError as error:
        return [failed("Database", error)]


@contextmanager
def _time_limits(connection: Connection, name: str) -> Iterator[None]:
    """Raise `ServerBusy` for a statement in the context that takes too long."""
    for limit, seconds in _LIMITS.items():
        connection.execute(f"SET {limit} = '{seconds}s'")
    try:
        yield
    except errors.LockNotAvailable as error:
        raise ServerBusy(
            f"other sessions hold locks that are needed in {name}",
            "run the checks again when they have ended",
        ) from error
    except errors.QueryCanceled as error:
        raise ServerBusy(
            f"{name} took more than {_SECONDS} s for one answer",
            "is the server very busy? run the checks again later",
        ) from error


def _compatibility(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    if planned.resolved is None:
        detail = "The selection could not be read from the backup."
        yield Check(Level.UNKNOWN, "Tables", detail, "See the checks of the backup.")
    elif planned.request.has_structure:
        yield _names(connection, planned.resolved)
        yield _privileges(connection, planned.resolved, planned)
        yield from superuser_only(connection, planned)
    else:
        yield from _rows(connection, planned.resolved)


def _names(connection: Connection, resolved: ResolvedSelection) -> Check:
    try:
        create_tables.refuse_existing(connection, resolved)
        refuse_taken(connection, resolved.schemas_as)
    except CovetError as error:
        return failed("Names", error)
    return Check(Level.PASS, "Names", "None of the selected names exists yet.")


def _privileges(
    connection: Connection, resolved: ResolvedSelection, planned: PlannedRestore
) -> Check:
    """Check the privileges to create objects and schemas, and to rename existing schemas."""
    part = replace(resolved, configuration=frozenset()).restrict(planned.expected)
    schemas = sorted({one.schema for one in part.tables} | {one.schema for one in part.sequences})
    staying = schemas_that_stay(connection, resolved)
    olds = [old for old, _ in resolved.schemas_as if old not in staying]
    rows = connection.execute(_LACKING, (schemas, schemas, olds)).fetchall()
    if not rows:
        return Check(
            Level.PASS, "Privileges", f"{connection.info.user} may create the selected objects."
        )
    lacking = [what for (what,) in rows]
    detail = f"{connection.info.user} lacks: {', '.join(lacking)}."
    return Check(Level.FAIL, "Privileges", detail, "Grant it that, or restore as the owner.")


_LACKING = """
SELECT 'CREATE on schema ' || nspname FROM pg_namespace
WHERE nspname = ANY (%s) AND NOT has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT 'CREATE on this database, for schema ' || name FROM unnest(%s::text[]) AS wanted(name)
WHERE NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = name)
  AND NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT 'ownership of schema ' || nspname FROM pg_namespace
WHERE nspname = ANY (%s) AND NOT pg_has_role(nspowner, 'USAGE')
ORDER BY 1
"""


def _rows(connection: Connection, resolved: ResolvedSelection) -> Iterator[Check]:
    found = table_checks.inspect_tables(connection, resolved.rows)
    between = foreign_keys.foreign_keys_between(connection, resolved.rows)
    incompatibilities = [
        *table_checks.incompatibilities(found),
        *foreign_keys.incompatibilities(between),
    ]
    for one in incompatibilities:
        yield Check(Level.FAIL, one.title, as_sentence(one.detail), as_sentence(one.fix))
    if not incompatibilities:
        detail = f"All exist and accept the rows: {counted(len(found), 'table')}."
        yield Check(Level.PASS, "Tables", detail)
    yield existing_rows(join_names(table_checks.non_empty(connection, found), NAMED))
    yield from _effects(found, between)


def _effects(
    found: list[table_checks.PostgresTargetTable], between: list[foreign_keys.PostgresForeignKey]
) -> Iterator[Check]:
    """Warn of side effects of loading the rows."""
    triggers = [f"{place.label} {name}" for place in found for name in place.triggers]
    if triggers:
        detail = f"They fire for each added row: {join_names(triggers, NAMED)}."
        fix = "Disable them first to prevent that, and enable them afterwards."
        yield Check(Level.WARNING, "Triggers", detail, fix)
    waiting = [key.label for key in between if not key.is_deferrable and key.may_alter]
    if waiting:
        detail = (
            f"They are checked after all rows are loaded; until then their tables are locked "
            f"against writes: {join_names(waiting, NAMED)}."
        )
        yield Check(Level.WARNING, "Foreign keys", detail, "Restore at a quiet time.")
    sequences = [name for place in found for name in place.sequences]
    if sequences:
        named = join_names(sequences, NAMED)
        detail = f"They are not advanced and may return numbers that are in use: {named}."
        yield Check(Level.WARNING, "Sequences", detail, "Advance them afterwards with setval().")
