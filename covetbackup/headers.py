"""Headers on every answer: what a browser may load and do, and an id to ask about."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

POWERFUL = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)


class SecurityHeaders:
    """The middleware that sets `Content-Security-Policy`, and keeps pages out of caches.

    `settings.SECURE_CSP` is a table of directives and their sources, as Django 6 takes it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.headers = {
            "Content-Security-Policy": "; ".join(
                " ".join((directive, *sources))
                for directive, sources in settings.SECURE_CSP.items()
            ),
            "Permissions-Policy": ", ".join(f"{feature}=()" for feature in POWERFUL),
            "Cache-Control": "private, no-store",
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = secrets.token_hex(8)  # type: ignore[attr-defined]
        response = self.get_response(request)
        for name, value in self.headers.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response
