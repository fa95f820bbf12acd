"""Renaming of restored schemas in whose old schema a needed extension stays.

Such a schema cannot be renamed meanwhile (`schema_rename`): what is created would not find the
extension. So objects are created in the schema of the new name from the start: in the statements
each name that is qualified with the old schema gets the new one, unless it is that of a member of
an extension.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from psycopg import sql

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.dependencies import TABLES, is_prerequisite
from covetbackup.core.databases.postgresql.archive.recorded import EXTENSION, is_configuration
from covetbackup.core.databases.postgresql.archive.server_requirements import unquoted
from covetbackup.core.databases.postgresql.restore.into_existing.schema_rename import (
    create_public,
    refuse_taken,
)
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import BadSetting

_SCHEMA = b"SCHEMA"
_PUBLIC = "public"
_NAME = rb'(?:"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*)'
# Tokens that may hold a qualified name, and tokens to skip as a whole. Bodies of functions are
# texts, which stay as they are; the text of a sequence or a registered object is a name.
_TOKEN = re.compile(
    rb"--[^\n]*"
    rb"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
    rb"|(?P<setval>\bpg_catalog\.setval\()'(?P<sequence>(?:[^']|'')*)'"
    rb"|[eE]'(?:[^'\\]|\\.|'')*'"
    rb"|'(?P<literal>(?:[^']|'')*)'(?P<registered>::reg[a-z]+)?"
    rb"|\bSCHEMA (?P<schema>%(name)s)"
    rb"|(?P<first>%(name)s)(?:\.(?P<second>%(name)s|[-+*/<>=~!@#%%^&|`?]+))?" % {b"name": _NAME},
    re.DOTALL,
)
_QUALIFIED = re.compile(rb"\A(%s)\.(%s)" % (_NAME, _NAME))


def schemas_that_stay(connection: Connection, resolved: ResolvedSelection) -> list[str]:
    """Return those of the schemas to be renamed in which this database has needed extensions."""
    olds = [old for old, _ in resolved.schemas_as]
    rows = connection.execute(_EXTENSIONS, (olds, sorted(resolved.extensions)))
    return [name for (name,) in rows]


class Requalified:
    """The rewriting of statements for renamed schemas.

    `created` are the dump ids of the extensions that did not exist before. Raises `TargetNotEmpty`
    for a new name that is taken.
    """

    def __init__(
        self,
        connection: Connection,
        contents: TableOfContents,
        resolved: ResolvedSelection,
        *,
        owner: str,
    ) -> None:
        refuse_taken(connection, resolved.schemas_as)
        self.created: set[int] = set()
        self._connection = connection
        self._contents = contents
        self._schemas_as = resolved.schemas_as
        self._owner = owner
        codec = contents.codec
        self._names = {old.encode(codec): new.encode(codec) for old, new in resolved.schemas_as}
        self._staying: Mapping[bytes, Collection[bytes]] = {}

    @staticmethod
    def is_needed(
        connection: Connection, contents: TableOfContents, resolved: ResolvedSelection
    ) -> bool:
        """Return whether a needed extension is, or will be, in a schema that is renamed."""
        if schemas_that_stay(connection, resolved):
            return True
        names = {old.encode(contents.codec) for old, _ in resolved.schemas_as}
        return any(_schema_of(entry) in names for entry in _extensions(contents))

    def apply(self) -> None:
        """Create the extensions, and the new schemas that no statement of a dump creates.

        Raises `BadSetting` for an object with the name of an extension's.
        """
        for entry in _extensions(self._contents):
            query = "SELECT 1 FROM pg_extension WHERE extname = %s"
            if self._connection.execute(query, (entry.text(entry.tag),)).fetchone() is None:
                self._create_extension(entry)
        for old, new in self._schemas_as:
            if old == _PUBLIC:
                create_public(self._connection, new, owner=self._owner)
        codec = self._contents.codec
        self._staying = {old.encode(codec): self._members(old) for old, _ in self._schemas_as}
        self._refuse_ambiguous()

    def restore(self) -> None:
        """Do nothing: no schema was renamed."""

    def entry(self, entry: Entry) -> Entry:
        """Return `entry` as it is created or loaded under the new names."""
        definition, statement = self.text(entry.definition), self.text(entry.copy_statement)
        schema = self._names.get(entry.schema, entry.schema)
        if entry.tag in self._staying.get(entry.schema, ()):
            schema = entry.schema
        return replace(entry, definition=definition, copy_statement=statement, schema=schema)

    def text(self, statements: bytes) -> bytes:
        """Return `statements`, in the encoding of the dump, with the new names."""
        return _TOKEN.sub(self._replaced, statements)

    def before_restore(self, resolved: ResolvedSelection) -> ResolvedSelection:
        """Return `resolved` unchanged: its schemas have their new names from the start."""
        return resolved

    def _replaced(self, match: re.Match[bytes]) -> bytes:
        if match["first"] is not None:
            return self._qualified(match["first"], match["second"])
        if match["schema"] is not None:
            return b"SCHEMA " + self._renamed(match["schema"])
        if match["setval"] is not None:
            return b"%s'%s'" % (match["setval"], self._named(match["sequence"]))
        if match["registered"] is not None:
            return b"'%s'%s" % (self._named(match["literal"]), match["registered"])
        return match[0]

    def _named(self, content: bytes) -> bytes:
        return _QUALIFIED.sub(lambda match: self._qualified(match[1], match[2]), content)

    def _qualified(self, schema: bytes, name: bytes | None) -> bytes:
        if name is None:
            return schema
        if unquoted(name) in self._staying.get(unquoted(schema), ()):
            return schema + b"." + name
        return self._renamed(schema) + b"." + name

    def _renamed(self, schema: bytes) -> bytes:
        new = self._names.get(unquoted(schema))
        return schema if new is None else b'"' + new.replace(b'"', b'""') + b'"'

    def _create_extension(self, entry: Entry) -> None:
        schema = _schema_of(entry).decode(self._contents.codec)
        if schema:
            statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
            self._connection.execute(statement.format(sql.Identifier(schema)))
        self._connection.execute(entry.definition)
        self.created.add(entry.dump_id)

    def _members(self, schema: str) -> frozenset[bytes]:
        rows = self._connection.execute(_MEMBERS, (schema,))
        return frozenset(name.encode(self._contents.codec) for (name,) in rows)

    def _refuse_ambiguous(self) -> None:
        entries = {entry.dump_id: entry for entry in self._contents.entries}
        for entry in entries.values():
            name = entry.tag.partition(b"(")[0]
            is_named = is_prerequisite(entry) or entry.kind in (*TABLES, b"SEQUENCE")
            if name not in self._staying.get(entry.schema, ()) or not is_named:
                continue
            if not is_configuration(entry, entries):
                raise BadSetting(
                    f"schema {entry.text(entry.schema)} cannot be renamed:"
                    f" {entry.name} has the name of an object of an extension there",
                    "restore it under its own name, or into a new database",
                )


def _extensions(contents: TableOfContents) -> list[Entry]:
    return [entry for entry in contents.entries if entry.kind == EXTENSION]


def _schema_of(entry: Entry) -> bytes:
    match = re.search(rb" WITH SCHEMA (%s);" % _NAME, entry.definition)
    return unquoted(match[1]) if match else b""


_EXTENSIONS = """
SELECT DISTINCT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname = ANY (%s) AND e.extname = ANY (%s) ORDER BY 1
"""
_MEMBERS = """
WITH member AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
place AS (SELECT oid FROM pg_namespace WHERE nspname = %s)
SELECT name FROM (
  SELECT 'pg_class'::regclass, oid, relname, relnamespace FROM pg_class
  UNION ALL SELECT 'pg_type'::regclass, oid, typname, typnamespace FROM pg_type
  UNION ALL SELECT 'pg_proc'::regclass, oid, proname, pronamespace FROM pg_proc
  UNION ALL SELECT 'pg_operator'::regclass, oid, oprname, oprnamespace FROM pg_operator
  UNION ALL SELECT 'pg_opclass'::regclass, oid, opcname, opcnamespace FROM pg_opclass
  UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfname, opfnamespace FROM pg_opfamily
  UNION ALL SELECT 'pg_collation'::regclass, oid, collname, collnamespace FROM pg_collation
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgname, cfgnamespace FROM pg_ts_config
  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictname, dictnamespace FROM pg_ts_dict
) AS named(classid, objid, name, space)
WHERE space = (SELECT oid FROM place) AND (classid, objid) IN (SELECT classid, objid FROM member)
"""
