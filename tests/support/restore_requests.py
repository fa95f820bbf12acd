"""Restore requests as tests write them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from urllib.parse import unquote, urlsplit

from covetbackup.core.databases.restore import RestoreRequest

_FIELDS = {field.name for field in fields(RestoreRequest)}


def request_for(target: str, **wishes: Any) -> RestoreRequest:
    """A request for the database `target`, by name or address. `wishes` are its fields, or names
    of further options that are True."""
    name = unquote(urlsplit(target).path.rpartition("/")[2]) if "://" in target else target
    options = tuple(wish for wish, value in wishes.items() if wish not in _FIELDS and value)
    return RestoreRequest(
        name, options=options, **{wish: wishes[wish] for wish in wishes.keys() & _FIELDS}
    )
