"""Error pages, in the same layout as all others."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

TEMPLATE = "access/problem.html"

log = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that is not valid."""
    text = "The address or the form that your browser sent is not valid."
    return HttpResponse(_alone(request, "Bad request", text), status=400)


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that the role does not allow."""
    text = "An owner of your team can give you a role that allows it. This attempt was logged."
    return _page(request, 403, "Your role does not allow this", text)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without its security token."""
    log.warning("refused a form without a valid token: %s path=%s", reason, request.path)
    text = (
        "It was sent without its security token. Go back, reload the page and try again. "
        "Are cookies allowed?"
    )
    return _page(request, 403, "This form was refused", text)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request for a page that does not exist."""
    text = "It does not exist, or it belongs to a team that you are not in."
    return _page(request, 404, "Page not found", text)


def broken(request: HttpRequest) -> HttpResponse:
    """Looks at neither session nor catalog: they may be what is broken."""
    log.error("answered 500 path=%s request=%s", request.path, _id(request))
    text = "CovetBackup or its catalog failed. See the server log."
    return HttpResponse(_alone(request, "Internal error", text), status=500)


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    return render(request, TEMPLATE, {"title": title, "text": text}, status=status)


def _alone(request: HttpRequest, title: str, text: str) -> str:
    context: dict[str, Any] = {"title": title, "text": text, "theme": "auto"}
    return loader.get_template(TEMPLATE).render(context | {"request_id": _id(request)})


def _id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")
