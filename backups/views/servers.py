"""Servers: the list, one server with its databases, testing it, finding its databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from backups.discovery import Discovery, discover
from backups.models import DatabaseState, Server
from backups.probing import probe_server
from backups.verdict_data import judged, with_standing
from backups.views.shared import add_error_message, look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome
from covetbackup.command_line import command
from covetbackup.core.databases.registry import ENTRIES, capabilities
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import CovetError
from covetbackup.ignored_filters import ignored
from covetbackup.paging import page_of

_GONE = Q(databases__state=DatabaseState.GONE)
_COUNTS = {
    "included": Count("databases", filter=Q(databases__is_included=True) & ~_GONE),
    "new": Count("databases", filter=Q(databases__is_new=True) & ~_GONE),
    "gone": Count("databases", filter=_GONE),
}


@require_safe
@requires(Permission.VIEW)
def servers(request: HttpRequest) -> HttpResponse:
    """Show the list of servers."""
    mine = Server.objects.visible_to(signed_in(request))
    rows = mine.annotate(**_COUNTS)
    troubled = Count("pk", filter=~Q(problem=""))
    context = {
        "page": page_of(rows, ("name", "id"), request.GET.get("cursor", "")),
        "ignored": ignored(request.GET.dict()),
        "command": command_for(Server(kind=next(iter(ENTRIES)))),
        "totals": mine.aggregate(all=Count("pk"), troubled=troubled),
    }
    return render(request, "backups/servers.html", context)


@require_safe
@requires(Permission.VIEW)
def server(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a server with its databases."""
    found = look_up(request, Server, pk, Permission.VIEW)
    return render(request, "backups/server.html", _page(request, found))


@require_POST
@requires(Permission.RUN_BACKUP)
def server_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Test the connection to a server."""
    found = look_up(request, Server, pk, Permission.RUN_BACKUP)
    result = _tested(lambda: probe_server(found))
    outcome = Outcome.FAILED if "problem" in result else Outcome.DONE
    record(request, "server.test", team=found.team, subject=found, outcome=outcome)
    if request.htmx:
        return render(request, "backups/_probe.html", result)
    return render(request, "backups/server.html", _page(request, found) | result)


@require_POST
@requires(Permission.CHANGE_DATABASE)
def server_discover(request: HttpRequest, pk: int) -> HttpResponse:
    """Discover the databases of a server."""
    found = look_up(request, Server, pk, Permission.CHANGE_DATABASE)
    find_databases(request, found)
    return redirect("server", found.pk)


@require_POST
@requires(Permission.RUN_BACKUP)
def server_seen(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark the new databases of a server as reviewed."""
    found = look_up(request, Server, pk, Permission.RUN_BACKUP)
    count = found.databases.filter(is_new=True).update(is_new=False)
    record(request, "server.seen", team=found.team, subject=found, details={"databases": count})
    return redirect("server", found.pk)


def _page(request: HttpRequest, found: Server) -> dict[str, Any]:
    page = page_of(
        with_standing(found.databases.all()), ("name", "id"), request.GET.get("cursor", "")
    )
    counts = Server.objects.annotate(**_COUNTS).values(*_COUNTS).get(pk=found.pk)
    return {
        "server": found,
        "team": found.team,
        "counts": counts,
        "page": page,
        "rows": judged(page.rows),
    }


def command_for(found: Server) -> str:
    """Return the shell command that adds the server, with unknown values in capitals."""
    kind, scheme = capabilities(found.kind), ENTRIES[found.kind].schemes[0]
    if kind.is_in_files:
        address = f"{scheme}:///{found.folder or '/FOLDER'}"
        return command("add_server", address, "--name", found.name or "NAME")
    database = kind.maintenance_database and found.maintenance_database
    place = f"{found.host or 'HOST'}:{found.port}/{database}"
    address = f"{scheme}://{found.user or 'USER'}@{place}"
    return command("add_server", address, "--name", found.name or "NAME", "--password-file", "FILE")


def find_databases(request: HttpRequest, found: Server) -> None:
    """Refresh the server's databases and show the result on the next page."""
    try:
        result = discover(found)
    except CovetError as error:
        record(request, "server.discover", team=found.team, subject=found, outcome=Outcome.FAILED)
        return add_error_message(request, error)
    details = {"added": len(result.added), "gone": len(result.gone)}
    record(request, "server.discover", team=found.team, subject=found, details=details)
    messages.success(request, _told(result))
    for problem in result.unusable[:5]:
        messages.warning(request, problem)


def _told(result: Discovery) -> str:
    count = len(result.present)
    parts = [f"{count} database{'' if count == 1 else 's'} found"]
    parts += [f"{len(names)} {what}" for names, what in _changes(result) if names]
    return ", ".join(parts) + "."


def _changes(result: Discovery) -> list[tuple[tuple[str, ...], str]]:
    return [(result.added, "new"), (result.gone, "gone"), (result.returned, "found again")]


def _tested(probe: Callable[[], ServerProbe]) -> dict[str, Any]:
    try:
        return {"check": probe()}
    except CovetError as error:
        return {"problem": error}
