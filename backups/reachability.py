"""The record of which servers can be reached, kept up to date by jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils import timezone

from backups.discovery import list_databases, note_failure
from backups.models import Server
from covetbackup.core.errors import CovetError, DatabaseUnavailable

log = logging.getLogger(__name__)


@contextmanager
def noting_reachability(server: Server) -> Iterator[None]:
    """Record whether the work in this block reached `server`.

    After `DatabaseUnavailable` the server itself is asked, because one database that was dropped
    says nothing about the others. The block's error is raised again.
    """
    try:
        yield
    except DatabaseUnavailable:
        _ask(server)
        raise
    note_reached(server)


def note_reached(server: Server) -> None:
    """Record that a connection was possible; other problems that a test found stay."""
    Server.objects.filter(pk=server.pk).update(checked_at=timezone.now())
    lost = Server.objects.filter(pk=server.pk, is_unreachable=True)
    lost.update(problem="", is_unreachable=False)


def _ask(server: Server) -> None:
    try:
        list_databases(server)
    except CovetError as error:
        log.warning("server %s cannot be used: %s", server.pk, error)
        note_failure(server, error)
    else:
        note_reached(server)
