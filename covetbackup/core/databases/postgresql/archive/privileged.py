"""Entries that only a superuser may create on a stock server. Pure.

Managed services let their own roles create some of them: whether a role may, only the server can
tell.
"""

from __future__ import annotations

import re

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents

_ALWAYS = (
    *(b"EVENT TRIGGER", b"SUBSCRIPTION", b"FOREIGN DATA WRAPPER", b"ACCESS METHOD", b"SHELL TYPE"),
    *(b"OPERATOR CLASS", b"OPERATOR FAMILY", b"TEXT SEARCH PARSER", b"TEXT SEARCH TEMPLATE"),
    b"PUBLICATION TABLES IN SCHEMA",
)
_SOMETIMES = {
    b"PUBLICATION": re.compile(rb" FOR ALL (?:TABLES|SEQUENCES)\b"),
    b"FUNCTION": re.compile(rb"\n    LANGUAGE (?:(?:c|internal)\b|[^\n]*\bLEAKPROOF\b)"),
    b"TYPE": re.compile(rb"\n    INPUT = |\A\s*CREATE TYPE [^(;]+;\s*\Z"),
}


def privileged(contents: TableOfContents) -> list[Entry]:
    """Return these entries, without extensions: their control files on the server say who may."""
    return [entry for entry in contents.entries if _is_privileged(entry)]


def _is_privileged(entry: Entry) -> bool:
    pattern = _SOMETIMES.get(entry.kind)
    if pattern is not None:
        return pattern.search(entry.definition) is not None
    return entry.kind in _ALWAYS
