"""Template context of the layout: navigation, the user's permissions, theme and time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from covetbackup.access.models import Theme, User
from covetbackup.access.roles import Permission


@dataclass(frozen=True, slots=True)
class NavigationLink:
    """A link in the navigation. `stem` begins the names of all pages that belong to it."""

    stem: str
    title: str
    page: str
    permission: Permission = Permission.VIEW


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """An `NavigationLink` as shown to one user on one page; `icon` is its name in the sprite."""

    title: str
    url: str
    icon: str
    is_active: bool


NAVIGATION: tuple[tuple[str, tuple[NavigationLink, ...]], ...] = (
    (
        "",
        (
            NavigationLink("overview", "Overview", "overview"),
            NavigationLink("server", "Servers", "servers"),
            NavigationLink("database", "Databases", "databases"),
            NavigationLink("backup", "Backups", "backups"),
            NavigationLink("restore", "Restores", "restores"),
            NavigationLink("job", "Jobs", "jobs"),
        ),
    ),
    (
        "Infrastructure",
        (
            NavigationLink("repository", "Repositories", "repositories"),
            NavigationLink("key", "Keys", "keys"),
        ),
    ),
    (
        "Team",
        (
            NavigationLink("team", "Team and roles", "team"),
            NavigationLink("audit", "Audit log", "audit", Permission.VIEW_AUDIT),
            NavigationLink("settings", "Settings", "settings", Permission.VIEW_SETTINGS),
        ),
    ),
)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the layout of every page.

    `navigation` has groups of (title, items); `may` says of each permission whether the user has it
    in any team; `theme`; `zone_name`; `request_id`, to be quoted in questions about an error.
    """
    user = getattr(request, "user", None)
    context: dict[str, Any] = {
        "theme": _theme(request, user),
        "zone_name": _zone_name(),
        "request_id": getattr(request, "request_id", ""),
        "navigation": [],
        "may": {},
    }
    if isinstance(user, User):
        context["may"] = {str(one): user.may_anywhere(one) for one in Permission}
        context["navigation"] = _navigation(request, context["may"])
    return context


def _zone_name() -> str:
    """Its name, and how far it is from UTC now: "Europe/Berlin (UTC+1)"."""
    name, now = timezone.get_current_timezone_name(), timezone.localtime()
    minutes = int((now.utcoffset() or timedelta()).total_seconds()) // 60
    if not minutes:
        return name
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−"
    return f"{name} (UTC{sign}{hours}{f':{rest:02}' if rest else ''})"


def _theme(request: HttpRequest, user: object) -> str:
    """The cookie wins: it is what was last chosen in this browser."""
    chosen = request.COOKIES.get("theme", "")
    if chosen in Theme.values:
        return chosen
    return user.theme if isinstance(user, User) else Theme.AUTO.value


def _navigation(
    request: HttpRequest, may: dict[str, bool]
) -> list[tuple[str, list[NavigationItem]]]:
    match = request.resolver_match
    current = (match.url_name or "") if match else ""
    groups = []
    for title, entries in NAVIGATION:
        items = [_item(entry, current) for entry in entries if may[entry.permission]]
        groups.append((title, [item for item in items if item]))
    return groups


def _item(entry: NavigationLink, current: str) -> NavigationItem | None:
    try:
        url = reverse(entry.page)
    except NoReverseMatch:
        return None
    is_active = current in (entry.stem, entry.page) or current.startswith(f"{entry.stem}-")
    return NavigationItem(entry.title, url, entry.stem, is_active)
