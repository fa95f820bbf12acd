"""Search by words: names of servers and databases, notes, tags, labels, first digits of ids.

Everything is looked up in small tables, or by an index: comparing a word with every one of 200 000
backups takes a third of a second.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django.db.models import Q, QuerySet
from django.db.models.lookups import In

from backups.models import Backup, Database
from covetbackup.paging import unindexed

_WORDS = 5
_ID_DIGITS = 8
"""An id is recognised by so many digits: fewer are often words, such as "cafe"."""

_MANY = 500
"""So many backups are named by their ids; if more mention a word, any page soon has its rows."""

_FEW = 20
"""The backups of so many databases are gathered by the index of each, then sorted: 8 000 take no
longer than a walk."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Databases by id, with their names and their servers'."""

    names: Sequence[tuple[int, str, str]]

    @classmethod
    def of(cls, databases: QuerySet[Database]) -> Self:
        return cls(list(databases.order_by().values_list("pk", "name", "server__name")))

    def named(self, word: str) -> Self:
        """Return the sources whose name, or whose server's, contains `word`, ignoring case."""
        wanted = word.casefold()
        return type(self)([one for one in self.names if _contains(one[1:], wanted)])

    def backups(self) -> Q:
        """Backups of these databases."""
        ids = [pk for pk, *_ in self.names]
        return Q(database__in=ids) if len(ids) <= _FEW else Q(In(unindexed("database_id"), ids))


def matching(rows: QuerySet[Backup], text: str, sources: Sources) -> QuerySet[Backup]:
    """Return those of `rows`, backups of `sources`, that match every word of `text`.

    A word matches in the name of a database or server, in a note or tags, as a label, or as the
    first digits of an id.
    """
    for word in text.split()[:_WORDS]:
        rows = rows.filter(sources.named(word).backups() | _mentioned(word))
    return rows


def tagged(tag: str) -> Q:
    """Backups with exactly this tag."""
    return Q(is_annotated=True) & _in_tags(*_as_stored(tag))


def id_begins(text: str, *, digits: int) -> Q:
    """Backups whose id begins with `text`, if that is `digits` hexadecimal digits or more."""
    given = text.replace("-", "").lower()
    if not digits <= len(given) <= 32 or not set(given) <= set("0123456789abcdef"):
        return Q(pk__in=())
    least, most = (uuid.UUID(given.ljust(32, filler)) for filler in "0f")
    return Q(pk__range=(least, most))


def _mentioned(word: str) -> Q:
    in_tags = _in_tags(*(text[1:-1] for text in _as_stored(word)))
    noted = Q(is_annotated=True) & (Q(note__icontains=word) | in_tags)
    ids = _ids(noted, most=_MANY + 1)
    known = Q(pk__in=_ids(_identified(word), most=_MANY))
    return known | (Q(pk__in=ids) if len(ids) <= _MANY else noted)


def _ids(wanted: Q, *, most: int) -> list[uuid.UUID]:
    return list(Backup.objects.filter(wanted).order_by().values_list("pk", flat=True)[:most])


def _identified(word: str) -> Q:
    return Q(label=word) if "/" in word else id_begins(word, digits=_ID_DIGITS)


def _in_tags(*texts: str) -> Q:
    wanted = Q()
    for text in texts:
        wanted |= Q(tags__icontains=text)
    return wanted


def _as_stored(text: str) -> list[str]:
    """`text` in JSON: SQLite keeps what was written, where letters beyond ASCII are spelt out, and
    PostgreSQL keeps the letters."""
    return [json.dumps(text, ensure_ascii=is_spelt_out) for is_spelt_out in (True, False)]


def _contains(names: Sequence[str], wanted: str) -> bool:
    return any(wanted in name.casefold() for name in names)
