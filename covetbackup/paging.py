"""Pages of a list that cost the same anywhere in it: a cursor holds the sort key of a row, and the
page is what follows, so that page 1000 reads as few rows as page 1, and a new row moves nothing.

Knows no models: whoever lists something says by which fields, and has an index of them.
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
    """`earlier` and `later` are cursors, "" where there is nothing more."""

    rows: Sequence[_Row]
    earlier: str
    later: str


def page_of(
    rows: QuerySet[_Row], order: Sequence[str], cursor: str = "", *, size: int = PAGE_SIZE
) -> Page[_Row]:
    """The page of `rows` after `cursor`, or before it if it was a page's `earlier`.

    `order` names fields, "-" before one for descending, the last of them unique. Rows that are
    null in one of them come in no page. A cursor that cannot be read shows the first page.
    """
    size = max(1, min(size, MOST))
    backwards, key = _decoded(cursor, len(order))
    names = [field.lstrip("-") for field in order]
    wanted = [_flipped(field) for field in order] if backwards else list(order)
    rows = rows.filter(**{f"{name}__isnull": False for name in names})
    place = rows
    if key is not None:
        try:
            place = rows.filter(_after(rows.model, wanted, key))
        except (TypeError, ValueError, ValidationError):
            return page_of(rows, order, size=size)
    found = _first(rows, place.order_by(*wanted), size + 1)
    has_more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_earlier, has_later = (has_more, True) if backwards else (key is not None, has_more)
    return Page(
        found,
        earlier=_encoded(found[0], names, backwards=True) if found and has_earlier else "",
        later=_encoded(found[-1], names, backwards=False) if found and has_later else "",
    )


def unindexed(field: str) -> Coalesce:
    """`field` in words that no index knows: such a condition is checked on a walk along the index
    of the order, and does not choose another index whose rows are sorted then."""
    return Coalesce(F(field), F(field))


def _first(rows: QuerySet[_Row], place: QuerySet[_Row], count: int) -> list[_Row]:
    # Ids first: they are found by walking an index alone, however many rows the filters refuse.
    # With all its columns, and those of other tables, each row would be read to be refused.
    ids = list(place.values_list("pk", flat=True)[:count])
    whole = {row.pk: row for row in rows.order_by().filter(pk__in=ids)}
    return [whole[pk] for pk in ids if pk in whole]


def _after(model: type[Model], order: Sequence[str], key: Sequence[Any]) -> Q:
    """(a, b) after (x, y): a > x, or a = x and b > y; "<" where a field is descending."""
    fields = [field.lstrip("-") for field in order]
    values = [
        model._meta.get_field(name).to_python(text) for name, text in zip(fields, key, strict=True)
    ]
    condition, equal = Q(), Q()
    for field, name, value in zip(order, fields, values, strict=True):
        condition |= equal & Q(**{f"{name}__{_beyond(field)}": value})
        equal &= Q(**{name: value})
    # Says nothing new, but an index can be entered by it, and by an "or" it cannot: SQLite read
    # half of 200 000 rows for a page in the middle.
    return Q(**{f"{fields[0]}__{_beyond(order[0])}e": values[0]}) & condition


def _beyond(field: str) -> str:
    return "lt" if field.startswith("-") else "gt"


def _flipped(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _encoded(row: Model, names: Sequence[str], *, backwards: bool) -> str:
    values = [getattr(row, name) for name in names]
    texts = [v.isoformat() if isinstance(v, datetime) else str(v) for v in values]
    data = json.dumps(["b" if backwards else "f", *texts]).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(cursor: str, length: int) -> tuple[bool, list[str] | None]:
    if not cursor or len(cursor) > _CURSOR_LENGTH:
        return False, None
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return False, None
    if not isinstance(parts, list) or len(parts) != length + 1:
        return False, None
    if parts[0] not in ("b", "f") or not all(isinstance(part, str) for part in parts):
        return False, None
    return parts[0] == "b", parts[1:]
