"""The first page: can everything be recovered right now?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission


@require_safe
@requires(Permission.VIEW)
def overview(request: HttpRequest) -> HttpResponse:
    return render(request, "overview.html")
