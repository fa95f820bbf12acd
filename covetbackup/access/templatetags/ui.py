"""Tags and filters that every template has: icons, badges, sizes, durations, times, rights."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from covetbackup.access.models import User
from covetbackup.access.roles import Permission, roles_with
from covetbackup.command_line import command
from covetbackup.core.capitals import capitalised

register = template.Library()

UNKNOWN = "–"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_PARTS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_AGO = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))

BADGES = {
    "queued": ("queued", "Queued", ""),
    "running": ("running", "Running", "running"),
    "succeeded": ("ok", "Succeeded", "ok"),
    "failed": ("bad", "Failed", "bad"),
    "cancelled": ("cancel", "Cancelled", "warn"),
    "interrupted": ("bad", "Interrupted", "bad"),
    "pending": ("running", "Running", "running"),
    "available": ("ok", "Available", "ok"),
    "degraded": ("warn", "Degraded", "warn"),
    "expiring": ("delete", "Expiring", "warn"),
    "stored": ("ok", "Stored", "ok"),
    "verified": ("verify", "Verified", "ok"),
    "missing": ("bad", "Missing", "bad"),
    "corrupt": ("bad", "Corrupt", "bad"),
    "removing": ("delete", "Deleting", "warn"),
    "present": ("ok", "Present", "ok"),
    "gone": ("warn", "Gone", "warn"),
    "reachable": ("ok", "Reachable", "ok"),
    "unreachable": ("bad", "Connection failed", "bad"),
    "trouble": ("warn", "Needs attention", "warn"),
    "not asked": ("unknown", "Not tested yet", ""),
    "recoverable": ("ok", "Recoverable", "ok"),
    "not protected": ("bad", "Not protected", "bad"),
    "not backed up": ("unknown", "Not backed up", ""),
    "damaged": ("bad", "Damaged", "bad"),
    "newest damaged": ("warn", "Newest damaged", "warn"),
    "copy damaged": ("warn", "Copy damaged", "warn"),
    "copy missing": ("warn", "Copy missing", "warn"),
    "last run failed": ("warn", "Last run failed", "warn"),
    "last run interrupted": ("warn", "Last run interrupted", "warn"),
    "not included": ("cancel", "Excluded", ""),
    "removed": ("delete", "Deleted", ""),
    "pass": ("ok", "Pass", "ok"),
    "warning": ("warn", "Warning", "warn"),
    "fail": ("bad", "Fail", "bad"),
    "done": ("ok", "Done", "ok"),
    "denied": ("bad", "Denied", "bad"),
    "active": ("ok", "Active", "ok"),
    "open": ("ok", "Open", "ok"),
    "locked": ("lock", "Locked", "bad"),
    "alive": ("ok", "Alive", "ok"),
    "draining": ("running", "Draining", "running"),
    "silent": ("unknown", "Not responding", ""),
    "decrypt-only": ("lock", "Decrypts only", ""),
    "retired": ("lock", "Retired", ""),
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of the sprite; the words beside it say what it means."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag
def shell_command(*words: object) -> str:
    """Return a shell command, as `{% shell_command "jobs" as text %}`.

    See `covetbackup.command_line`.
    """
    return command(*words)


@register.simple_tag
def status_badge(state: str) -> SafeString:
    """Return a state as icon, word and colour: never by colour alone."""
    picture, word, tone = BADGES.get(str(state), ("unknown", str(state).capitalize(), ""))
    return format_html(
        '<span class="badge{}">{} {}</span>', f" badge--{tone}" if tone else "", icon(picture), word
    )


@register.filter
def bytes_text(size: int | None) -> SafeString | str:
    """Return a size with three significant digits; the exact number of bytes is in the title."""
    if size is None:
        return UNKNOWN
    return format_html('<span title="{} bytes">{}</span>', f"{size:,}", _scaled(size))


@register.filter
def printable(text: str) -> str:
    """Return a program's output without control characters for a terminal."""
    return _CONTROL.sub("", str(text))


@register.filter(name="capitalised")
def capitalised_text(text: str) -> str:
    """Return a message with a capital, unless it begins with a name: see `core.capitals`."""
    return capitalised(str(text))


@register.filter
def several(kind: str, count: int) -> str:
    """Return a kind of database object with its number: 1 index, 2 indexes."""
    if count == 1:
        return kind
    if _CONSONANT_Y.search(kind):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("x") else f"{kind}s"


@register.filter
def count_text(count: int | None) -> str:
    """Return a number with separators, or the sign for unknown."""
    return UNKNOWN if count is None else f"{count:,}"


@register.filter
def rate_text(rate: int | None) -> str:
    """Return a rate in bytes per second."""
    return f"{_scaled(rate)}/s" if rate else UNKNOWN


@register.filter
def duration_text(length: timedelta | float | None) -> str:
    """Return a duration by its two largest parts: "1 min 41 s"."""
    if length is None:
        return UNKNOWN
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest, parts = int(seconds), []
    for name, size in _PARTS:
        count, rest = divmod(rest, size)
        parts += [(count, name)] if count or parts else []
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


@register.simple_tag
def absolute_time(moment: datetime | None) -> SafeString | str:
    """Return how long ago a moment was, and its time in the zone that the page names."""
    if moment is None:
        return UNKNOWN
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" data-ago title="{}">{}</time> <span class="soft small">{}</span>',
        local.isoformat(timespec="seconds"),
        local.strftime("%A, %-d %B %Y, %H:%M:%S %Z"),
        ago(moment),
        local.strftime("%-d %b %Y %H:%M"),
    )


@register.filter
def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was."""
    if moment is None:
        return UNKNOWN
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    name, size = next((part for part in _AGO if seconds >= part[1]), _AGO[-1])
    count = seconds // size
    return f"{count} {name}{'' if count == 1 else 's'} ago"


@register.simple_tag(takes_context=True)
def can(context: dict[str, Any], permission: str, team: Any) -> bool:
    """Return whether the user has a permission: `{% can "run_backup" team as allowed %}`."""
    user = getattr(context.get("request"), "user", None)
    return isinstance(user, User) and user.may(Permission(permission), team.pk)


@register.simple_tag
def why_not(permission: str) -> str:
    """Return the reason on a disabled button, with the roles that have the permission."""
    least = roles_with(Permission(permission))[0]
    return f"Your role may not do this; ask a team member who is {least} or higher"


def _scaled(size: float) -> str:
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{value:.0f} B"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"
