"""Shared beginnings and ends of views: the row of a page, and errors as messages."""

from __future__ import annotations

from typing import TypeVar, cast
from uuid import UUID

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from covetbackup.access.decorators import require
from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission
from covetbackup.core.errors import CovetError, sentence

_Row = TypeVar("_Row", bound=Model)


def look_up(
    request: HttpRequest, model: type[_Row], pk: int | UUID, permission: Permission
) -> _Row:
    """Return a row with its team.

    The answer is 404 for rows of other teams, 403 without the permission.
    """
    path = team_path(model)
    rows = model.objects.visible_to(request.user).select_related(path)  # type: ignore[attr-defined]
    row = get_object_or_404(rows, pk=pk)
    require(request, permission, team_of(row))
    return cast(_Row, row)


def team_of(row: Model) -> Team:
    """Return the team that `row` belongs to."""
    found: object = row
    for name in team_path(type(row)).split("__"):
        found = getattr(found, name)
    return cast(Team, found)


def team_path(model: type[Model]) -> str:
    """Return the path of fields from a model to its team."""
    return getattr(model, "TEAM_PATH", "team")


def signed_in(request: HttpRequest) -> User:
    """Return the user of a view behind `requires`."""
    return cast(User, request.user)


def add_error_message(request: HttpRequest, error: CovetError) -> None:
    """Say on the next page what was wrong and what to do."""
    messages.error(request, sentence(error))
