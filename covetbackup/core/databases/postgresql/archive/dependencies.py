"""Resolution of a selection of tables: what these depend on, and what belongs to them.

A pure function of the table of contents, so its result can be shown before anything runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from covetbackup.core.databases.postgresql.archive.contents import Entry, Section, TableOfContents
from covetbackup.core.databases.postgresql.archive.recorded import EXTENSION, is_configuration
from covetbackup.core.databases.postgresql.archive.schema_names import validate_schema_names
from covetbackup.core.databases.postgresql.archive.selection_warnings import (
    omission_warnings,
    unowned_sequences,
)
from covetbackup.core.databases.postgresql.archive.server_requirements import (
    roles_of,
    tablespaces_of,
)
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting

_SETTINGS = (b"ENCODING", b"STDSTRINGS", b"SEARCHPATH")
TABLES = (b"TABLE", b"FOREIGN TABLE", b"VIEW", b"MATERIALIZED VIEW")
_SEQUENCE = b"SEQUENCE"
FOREIGN_KEY = b"FK CONSTRAINT"
ATTACH = b"TABLE ATTACH"
_DATA = (b"TABLE DATA", b"SEQUENCE SET", b"MATERIALIZED VIEW DATA")
_CODE = (b"FUNCTION", b"PROCEDURE", b"AGGREGATE")
_PUBLIC = "public"  # in a new database from the beginning
# What is restored with the object that it depends on. What these depend on besides is restored with
# them: the function of a trigger. Entries of `CROSS_OBJECT` come only where all that they depend on
# is restored anyway.
_BELONGING = (
    *_DATA,
    *(b"DEFAULT", b"CONSTRAINT", b"CHECK CONSTRAINT", b"INDEX", b"STATISTICS", b"SEQUENCE"),
    *(b"SEQUENCE OWNED BY", b"TRIGGER", b"RULE", b"POLICY", b"ROW SECURITY"),
)
ANNOTATIONS = (b"COMMENT", b"ACL", b"SECURITY LABEL")
CROSS_OBJECT = (*ANNOTATIONS, b"INDEX ATTACH", FOREIGN_KEY, ATTACH)


@dataclass(frozen=True, slots=True)
class ResolvedToc:
    """A selection resolved to entries of a table of contents.

    `dump_ids` are the entries to restore, `external_keys` the foreign keys from these to tables
    that may exist in the target.
    """

    dump_ids: frozenset[int]
    selection: ResolvedSelection
    external_keys: tuple[Entry, ...] = ()


def is_prerequisite(entry: Entry) -> bool:
    """Return whether others depend on such an entry: a type, function, schema or extension."""
    return entry.section is Section.PRE_DATA and entry.kind not in (
        *TABLES,
        *_BELONGING,
        *CROSS_OBJECT,
        *_SETTINGS,
    )


def resolve_dependencies(contents: TableOfContents, selection: Selection) -> ResolvedToc:
    """Return the selected entries with all that they depend on and all that belongs to them.

    Raises `BadSetting` for a table or schema that is not in the backup, for an empty selection, and
    for a new name that a schema cannot have.
    """
    search = _Closure(contents)
    wanted = selected(contents, selection)
    search.include(wanted)
    search.complete()
    restored = {
        dump_id
        for dump_id in search.included
        if selection.with_data or search.entries[dump_id].kind not in _DATA
    }
    settings = {entry.dump_id for entry in contents.entries if entry.kind in _SETTINGS}
    renamed = {old.encode(contents.codec) for old, _ in selection.schemas_as}
    keys = tuple(_external_keys(search, renamed))
    resolved = _described(search, wanted, selection)
    left_out = tuple(omission_warnings(contents, search.included, wanted, selection))
    names = tuple(key.name for key in keys)
    resolved = replace(resolved, external_foreign_keys=names, left_out=left_out)
    return ResolvedToc(frozenset(restored | settings), resolved, keys)


class _Closure:
    """The dump ids `included` of entries to restore, closed over what they depend on."""

    def __init__(self, contents: TableOfContents) -> None:
        self.entries = {entry.dump_id: entry for entry in contents.entries}
        self.included: set[int] = set()
        self._schemas = {entry.tag: entry for entry in contents.entries if entry.kind == b"SCHEMA"}
        attached = {
            (each.schema, each.tag): each for each in contents.entries if each.kind == ATTACH
        }
        # Rows of a hash partition on an enum belong to other partitions in another database.
        through_root = {
            (each.schema, each.tag)
            for each in contents.data_entries
            if each.definition.startswith(b"-- load via partition root")
        }
        # A partition is created as a table and attached later: it does not need its parent.
        self._parents = {
            entry.dump_id: frozenset(attached[entry.schema, entry.tag].dependencies)
            - {entry.dump_id}
            for entry in contents.entries
            if entry.kind in TABLES
            and (entry.schema, entry.tag) in attached
            and (entry.schema, entry.tag) not in through_root
        }

    def include(self, entries: Iterable[Entry]) -> None:
        """Add `entries` with everything that they depend on."""
        waiting = list(entries)
        while waiting:
            entry = waiting.pop()
            if entry.dump_id not in self.included:
                self.included.add(entry.dump_id)
                waiting += self._dependencies_of(entry)

    def _dependencies_of(self, entry: Entry) -> Iterator[Entry]:
        if entry.schema in self._schemas:
            yield self._schemas[entry.schema]
        spared = self._parents.get(entry.dump_id, frozenset())
        for need in entry.dependencies:
            if need not in self.entries or need in spared:
                continue
            # The index of a partition needs that of its parent to be attached, not to be made.
            if entry.kind == b"INDEX" and self.entries[need].kind == b"INDEX":
                continue
            yield self.entries[need]

    def complete(self) -> None:
        """Add what belongs to entries that are included, until nothing more does."""
        before = -1
        while before != len(self.included):
            before = len(self.included)
            for entry in self.entries.values():
                if entry.dump_id not in self.included and self._belongs(entry):
                    self.include([entry])

    def _belongs(self, entry: Entry) -> bool:
        dependencies = [self.entries[need] for need in entry.dependencies if need in self.entries]
        if entry.kind == ATTACH:
            # A partition belongs to its parent; not the other way round.
            return any(
                need.dump_id in self.included
                and (need.schema, need.tag) != (entry.schema, entry.tag)
                for need in dependencies
            )
        if attached_to := partition_parents(entry, self.entries):
            return bool(attached_to & self.included)
        if entry.kind in CROSS_OBJECT:
            return bool(dependencies) and all(
                need.dump_id in self.included for need in dependencies
            )
        # A default, say, also depends on the sequence that it takes its values from.
        owners = [need for need in dependencies if need.kind in (*TABLES, _SEQUENCE)]
        if is_configuration(entry, self.entries):
            owners = [need for need in dependencies if need.kind == EXTENSION]
        return entry.kind in _BELONGING and any(
            need.dump_id in self.included and not _is_only_used(entry, need) for need in owners
        )


def partition_parents(entry: Entry, entries: Mapping[int, Entry]) -> set[int]:
    """Return the dump ids of the tables of which the statement of `entry` makes it a partition.

    So it is in dumps of servers before PostgreSQL 14, which have no entry for that.
    """
    if entry.kind not in TABLES or b" ATTACH PARTITION " not in entry.definition:
        return set()
    dependencies = [need for need in entry.dependencies if need in entries]
    return {need for need in dependencies if b"PARTITION BY " in entries[need].definition}


def _is_only_used(entry: Entry, need: Entry) -> bool:
    # The tag of these kinds is the name of the table that they belong to, a space, their own.
    if entry.kind not in (b"DEFAULT", b"TRIGGER", b"RULE", b"POLICY", b"CONSTRAINT"):
        return False
    return not entry.tag.startswith(need.tag + b" ")


def selected(contents: TableOfContents, selection: Selection) -> list[Entry]:
    """Return the entries that a selection names itself: tables, and all in its schemas.

    Raises `BadSetting` for a table or schema that is not in the backup, and if nothing is selected.
    """
    entries = {entry.dump_id: entry for entry in contents.entries}
    tables = [
        entry
        for entry in contents.entries
        if entry.kind in TABLES or (entry.has_data and is_configuration(entry, entries))
    ]
    named = {entry.name: entry for entry in tables}
    found = []
    for label in selection.tables:
        if label not in named:
            raise BadSetting(
                f"the backup has no table {label}", "write SCHEMA.TABLE as contents do"
            )
        found.append(named[label])
    inside = [e for e in contents.entries if e.text(e.schema) in selection.schemas]
    missing = set(selection.schemas) - {entry.text(entry.schema) for entry in inside}
    if missing:
        raise BadSetting(f"the backup has nothing in schema {min(missing)}")
    if not (found or inside):
        raise BadSetting("nothing is selected")
    # What depends on two objects is added by itself when both are restored.
    whole = [entry for entry in inside if entry.kind not in (*CROSS_OBJECT, *_BELONGING)]
    schemas = {schema.encode(contents.codec) for schema in selection.schemas}
    return found + whole + [each for each in unowned_sequences(contents) if each.schema in schemas]


def _described(search: _Closure, wanted: list[Entry], selection: Selection) -> ResolvedSelection:
    restored = [search.entries[dump_id] for dump_id in sorted(search.included)]
    tables = [entry for entry in restored if entry.kind in TABLES]
    wanted_names = {entry.name for entry in wanted}
    schemas = {entry.text(entry.schema) for entry in restored if entry.schema}
    validate_schema_names(selection.schemas_as, schemas, taken={*schemas, _PUBLIC})
    return ResolvedSelection(
        tables=frozenset(entry.name for entry in tables),
        sequences=frozenset(entry.name for entry in restored if entry.kind == _SEQUENCE),
        extensions=frozenset(
            entry.text(entry.tag) for entry in restored if entry.kind == EXTENSION
        ),
        dependencies=tuple(entry.name for entry in tables if entry.name not in wanted_names),
        omitted_foreign_keys=tuple(key.name for key in _omitted_keys(search)),
        warnings=tuple(_warnings(search, restored, selection)),
        with_data=selection.with_data,
        schemas_as=selection.schemas_as,
        roles=roles_of(restored),
        tablespaces=tablespaces_of(restored),
        configuration=_configuration(search, restored) if selection.with_data else frozenset(),
    )


def _configuration(search: _Closure, restored: Iterable[Entry]) -> frozenset[str]:
    return frozenset(entry.name for entry in restored if is_configuration(entry, search.entries))


def _omitted_keys(search: _Closure) -> Iterator[Entry]:
    """Yield the foreign keys of which only one table is restored."""
    for entry in search.entries.values():
        if entry.kind == FOREIGN_KEY and entry.dump_id not in search.included:
            if any(need in search.included for need in entry.dependencies):
                yield entry


def _external_keys(search: _Closure, renamed: Collection[bytes]) -> Iterator[Entry]:
    """Yield the omitted keys of tables that are restored.

    None to a schema that is renamed: what the target has under its old name is not what the tables
    referred to.
    """
    for key in _omitted_keys(search):
        tables = [search.entries[need] for need in key.dependencies if need in search.entries]
        tables = [table for table in tables if table.kind in TABLES]
        is_included = any(
            table.dump_id in search.included for table in tables if _is_of(key, table)
        )
        others = {table.schema for table in tables if not _is_of(key, table)}
        if is_included and others.isdisjoint(renamed):
            yield key


def _is_of(key: Entry, table: Entry) -> bool:
    # The tag of a key is the name of its table, a space, its own.
    return table.schema == key.schema and key.tag.startswith(table.tag + b" ")


def _warnings(search: _Closure, restored: list[Entry], selection: Selection) -> Iterator[str]:
    code = [entry.name for entry in restored if entry.kind in _CODE]
    if code:
        yield f"what these read cannot be seen from outside: {', '.join(code)}"
    if code and selection.schemas_as:
        # Everything else refers to objects, not to names, once it is created.
        old = ", ".join(old for old, _ in selection.schemas_as)
        yield f"kept as text, which still says {old} where it did: {', '.join(code)}"
    for entry in search.entries.values():
        is_partition = entry.kind == ATTACH and entry.dump_id not in search.included
        if is_partition and any(need in search.included for need in entry.dependencies):
            yield f"{entry.name} becomes a table of its own: its parent is not selected"
