"""Parses `schema.sql`, the dump of tables and sequences, into one statement for each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from covetbackup.core.databases.mysql.archive.spool import Script

_NAME = rb"`((?:[^`]|``)*)`"
_HEADING = re.compile(
    rb"\n--\n-- (?:Table structure for (table)|Sequence structure for) " + _NAME + rb"\n--\n"
)
_FOOTER = b"\n/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE"
_FOREIGN_KEY = re.compile(
    rb"^  CONSTRAINT " + _NAME + rb" FOREIGN KEY .*? REFERENCES (?:" + _NAME + rb"\.)?" + _NAME,
    re.MULTILINE,
)
_COLUMN = re.compile(rb"^  " + _NAME + rb" (.*?),?$", re.MULTILINE)
_CHECK = re.compile(rb"^  (?:CONSTRAINT `(?:[^`]|``)*` )?CHECK .*$", re.MULTILINE)
_CHARSET = re.compile(rb"^\) .*?(?:DEFAULT )?CHARSET=(\w+)", re.MULTILINE)
_TEXT = re.compile(r"'(?:[^'\\]|''|\\.)*'")
_SEQUENCE = re.compile(rb"(?:next|last)val\(" + _NAME + rb"\." + _NAME + rb"\)")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of `table` that refers to the table `to`.

    `to` is "database.table" if it is in another database.
    """

    table: str
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Structure:
    """The parsed script: statements by name; `begin` and `end` belong around any of them."""

    begin: bytes
    tables: dict[str, bytes]
    sequences: dict[str, bytes]
    end: bytes

    def script(self, tables: set[str], sequences: set[str]) -> bytes:
        """Return the script that creates only these. Sequences first: defaults need them."""
        chosen = [text for name, text in self.sequences.items() if name in sequences]
        chosen += [text for name, text in self.tables.items() if name in tables]
        return b"".join([self.begin, *chosen, self.end])

    def foreign_keys(self, table: str) -> list[ForeignKey]:
        """Return the foreign keys of `table`."""
        return [
            ForeignKey(table, _text(name), ".".join(filter(None, (_text(place), _text(to)))))
            for name, place, to in _FOREIGN_KEY.findall(self.tables[table])
        ]

    def columns(self, table: str) -> list[str]:
        """Return the names of the columns of `table` in order, generated ones too."""
        return [_text(name) for name, _ in _COLUMN.findall(self.tables[table])]

    def sequences_of(self, table: str) -> set[str]:
        """Return the sequences that the defaults of `table` take values from."""
        found = {_text(name) for _, name in _SEQUENCE.findall(self.tables[table])}
        return found & self.sequences.keys()


def definitions_in(statement: str) -> dict[str, str]:
    """Return the definition of each column in a statement that creates a table.

    Under "" is the table's default character set.
    """
    found = {
        _text(name): definition.decode() for name, definition in _COLUMN.findall(statement.encode())
    }
    charset = _CHARSET.search(statement.encode())
    return {**found, "": charset[1].decode() if charset else ""}


def checks_in(statement: str) -> set[str]:
    """Return the CHECK constraints of a table that are not part of a column's definition."""
    return {found.rstrip(b",").decode() for found in _CHECK.findall(statement.encode())}


def computed_in(statement: str) -> set[str]:
    """Return the generated columns of a table."""
    return {
        name
        for name, definition in definitions_in(statement).items()
        if "GENERATED ALWAYS AS" in _TEXT.sub("", definition)
    }


def read_structure(script: Script) -> Structure:
    """Parse `schema.sql`."""
    headings = list(_HEADING.finditer(script))
    footer = script.rfind(_FOOTER)
    end = len(script) if footer < 0 else footer
    stops = [*(heading.start() for heading in headings[1:]), end]
    tables: dict[str, bytes] = {}
    sequences: dict[str, bytes] = {}
    for heading, stop in zip(headings, stops, strict=True):
        statements = tables if heading[1] else sequences
        # In comments the dump program begins each line of a name anew.
        statements[_text(heading[2]).replace("\n-- ", "\n")] = script[heading.start() : stop]
    begin = headings[0].start() if headings else end
    return Structure(script[:begin], tables, sequences, script[end:])


def _text(name: bytes) -> str:
    return name.decode().replace("``", "`")
