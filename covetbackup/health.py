"""Two pages for probes: alive, and ready to serve. They show nothing else."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
@login_not_required
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 while the catalog answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return HttpResponse("catalog unreachable\n", "text/plain", status=503)
    return HttpResponse("ok\n", "text/plain")


@require_safe
@login_not_required
def readyz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when the catalog answers and has all its tables, else 503."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return HttpResponse("catalog unreachable\n", "text/plain", status=503)
    if missing:
        return HttpResponse("migrations missing\n", "text/plain", status=503)
    return HttpResponse("ok\n", "text/plain")
