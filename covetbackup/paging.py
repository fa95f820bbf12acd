"""Pages of a list that cost the same anywhere in it.

A cursor holds the sort key of a row, and the page is what follows, so that page 1000 reads as few
rows as page 1, and a new row moves nothing. No model is known here: the caller names the fields,
and has an index of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Coalesce

PAGE_SIZE = 50
MOST = 500
_CURSOR_LENGTH = 500

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """A page of a list; `earlier` and `later` are cursors, "" where there is nothing more."""

    rows: Sequence[_Row]
    earlier: str
    later: str


def page_of(
    rows: QuerySet[_Row], order: Sequence[str], cursor: str = "", *, size: int = PAGE_SIZE
) -> Page[_Row]:
    """Return the page of `rows` after `cursor`, or before it if it was a page's `earlier`.

    `order` names fields, "-" before one for descending, the last of them unique. Rows that are null
    in one of them are on no page. A cursor that cannot be read shows the first page.
    """
    size = max(1, min(size, MOST))
    backwards, key = _decoded(cursor, len(order))
    wanted = [_flipped(field) for field in order] if backwards else list(order)
    rows = rows.filter(**{f"{_name(field)}__isnull": False for field in order})
    try:
        place = rows if key is None else rows.filter(_after(rows.model, wanted, key))
    except (TypeError, ValueError, ValidationError):
        return page_of(rows, order, size=size)
    found = _first(rows, place.order_by(*wanted), size + 1)
    has_more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_earlier, has_later = (has_more, True) if backwards else (key is not None, has_more)
    return Page(
        found,
        earlier=_encoded(found[0], order, backwards=True) if found and has_earlier else "",
        later=_encoded(found[-1], order, backwards=False) if found and has_later else "",
    )


def unindexed(field: str) -> Coalesce:
    """Return `field` as an expression that no index has.

    Such a condition is checked on a walk along the index of the order, and does not choose another
    index whose rows are sorted then.
    """
    return Coalesce(F(field), F(field))


def _first(rows: QuerySet[_Row], place: QuerySet[_Row], count: int) -> list[_Row]:
    # Ids first: they are found by walking an index alone, however many rows the filters refuse.
    # With all its columns, and those of other tables, each row would be read to be refused.
    ids = list(place.values_list("pk", flat=True)[:count])
    whole = {row.pk: row for row in rows.order_by().filter(pk__in=ids)}
    return [whole[pk] for pk in ids if pk in whole]


def _after(model: type[Model], order: Sequence[str], key: Sequence[Any]) -> Q:
    """(a, b) after (x, y): a > x, or a = x and b > y; "<" where a field is descending."""
    condition, equal, least = Q(), Q(), Q()
    for field, text in zip(order, key, strict=True):
        name, beyond = _name(field), "lt" if field.startswith("-") else "gt"
        value = model._meta.get_field(name).to_python(text)
        condition |= equal & Q(**{f"{name}__{beyond}": value})
        equal &= Q(**{name: value})
        least = least or Q(**{f"{name}__{beyond}e": value})
    # `least`, a >= x, says nothing new, but an index is entered by it; by an "or" it is not, and
    # SQLite read half of 200 000 rows for a page in the middle.
    return least & condition


def _name(field: str) -> str:
    return field.lstrip("-")


def _flipped(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _encoded(row: Model, order: Sequence[str], *, backwards: bool) -> str:
    values = [getattr(row, _name(field)) for field in order]
    texts = [v.isoformat() if isinstance(v, datetime) else str(v) for v in values]
    data = json.dumps(["b" if backwards else "f", *texts]).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(cursor: str, length: int) -> tuple[bool, list[str] | None]:
    if not cursor or len(cursor) > _CURSOR_LENGTH:
        return False, None
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        text = "".join(parts).encode()
    except (TypeError, ValueError):  # among them halves of characters, which no text has
        return False, None
    # A zero byte is in no key either, and PostgreSQL refuses to look for one.
    if not isinstance(parts, list) or len(parts) != length + 1 or b"\0" in text:
        return False, None
    if parts[0] not in ("b", "f"):
        return False, None
    return parts[0] == "b", parts[1:]
