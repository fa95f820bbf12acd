"""System checks of `covetbackup check` for wrong settings: each with an id and a hint.

Errors keep commands from running. A fault that only hampers (secrets locked, no client programs
here) is a warning: the dashboard has to start, or its pages could not show what is wrong.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register

from covetbackup.command_line import command
from covetbackup.core.databases.registry import ENTRIES, kind_named

LEAST_KEY_LENGTH = 32
Q_CLUSTER_MUST: dict[str, tuple[Any, str]] = {
    "ack_failures": (True, "or a task that fails is delivered for ever"),
    "max_attempts": (1, "jobs are retried by their own rules"),
    "catch_up": (False, "or a day of downtime is made up for all at once"),
}


@register("environment")
def check_environment(**_: Any) -> list[CheckMessage]:
    """E001: a variable whose value cannot be used."""
    return [
        Error(
            f"{problem.variable}: {problem.message}",
            hint="Correct or unset the variable; docs/settings.md says what it takes.",
            id="covetbackup.E001",
        )
        for problem in settings.ENV.problems
    ]


@register("files")
def check_files(**_: Any) -> list[CheckMessage]:
    """E002 to E004 and W001 to W003: folders and key files."""
    return [*_var_problems(), *_secret_key_problems(), *_catalog_keys_problems()]


@register("site")
def check_site(**_: Any) -> list[CheckMessage]:
    """E005 and W004 to W006: the address that links in mails begin with."""
    parts = urlsplit(settings.SITE_URL)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
        text = f"COVET_SITE_URL is {settings.SITE_URL[:80]!r}, which is no address of a site"
        hint = "Give the scheme and host that browsers use, like https://backups.example.com."
        return [Error(text, hint=hint, id="covetbackup.E005")]
    return list(_site_warnings(parts.scheme, host))


@register("queue")
def check_queue(**_: Any) -> list[CheckMessage]:
    """E006 and E007: values of Q_CLUSTER with which jobs would be lost, doubled or stuck."""
    cluster = settings.Q_CLUSTER
    found: list[CheckMessage] = [
        Error(
            f"Q_CLUSTER[{name!r}] is {cluster.get(name)!r}",
            hint=f"It must be {value!r}, {reason}.",
            id="covetbackup.E006",
        )
        for name, (value, reason) in Q_CLUSTER_MUST.items()
        if cluster.get(name) != value
    ]
    if not 0 < cluster.get("timeout", 0) < cluster.get("retry", 0):
        text = "Q_CLUSTER: `retry` is not longer than `timeout`"
        hint = "A task that still runs would be delivered to a second worker."
        found.append(Error(text, hint=hint, id="covetbackup.E007"))
    return found


@register("queue")
def check_broker(**_: Any) -> list[CheckMessage]:
    """E008 and W008: the Redis or Valkey server; its address may hold a password."""
    if not settings.BROKER_URL:
        return []
    # An optional driver, imported by those only who use it.
    from covetbackup.jobs.broker import RedisError, ask

    try:
        ask(settings.BROKER_URL)
    except ValueError:
        text = "COVET_BROKER_URL is not the address of a Redis or Valkey server"
        hint = "It is like redis://host:6379/0, rediss://user:password@host/0 or unix:///socket."
        return [Error(text, hint=hint, id="covetbackup.E008")]
    except RedisError as error:
        text = f"the server of COVET_BROKER_URL cannot be used: {error}"
        hint = "Jobs start when it can. Is it running, is the password right? Unset: the catalog."
        return [Warning(text, hint=hint, id="covetbackup.W008")]
    return []


@register("clients", deploy=True)
def check_clients(**_: Any) -> list[CheckMessage]:
    """W007 and I001: client programs here. Asking them takes time, so with --deploy only."""
    return [message for kind in ENTRIES for message in _clients_of(kind)]


def _clients_of(kind: str) -> Iterator[CheckMessage]:
    found, missing = kind_named(kind).programs(())
    for one in missing:
        yield Warning(one.title, hint=f"Workers need them: {one.fix}", id="covetbackup.W007")
    versions = ", ".join(f"{one.version} in {one.location}" for one in found if not one.is_library)
    if versions:
        text = f"{ENTRIES[kind].title} client programs: {versions}"
        yield Info(text, id="covetbackup.I001")


def _var_problems() -> Iterator[CheckMessage]:
    folder: Path = settings.VAR_DIR
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        text = f"the folder {folder} is missing or cannot be written to"
        hint = f"Run {command('init')}, or set COVET_VAR to a folder that this user owns."
        yield Error(text, hint=hint, id="covetbackup.E002")
    elif folder.stat().st_mode & stat.S_IWOTH:
        text = f"every user of this machine can write to {folder}"
        yield Warning(text, hint=f"chmod o-w {folder}", id="covetbackup.W001")


def _secret_key_problems() -> Iterator[CheckMessage]:
    path: Path = settings.SECRET_KEY_FILE
    text = _content(path)
    if text is None:
        hint = f"Run {command('init')}, or put the file back: sessions and links need it."
        yield Error(f"{path} is missing or unreadable", hint=hint, id="covetbackup.E003")
        return
    if len(text.strip()) < LEAST_KEY_LENGTH:
        hint = f"At least {LEAST_KEY_LENGTH} random characters are needed; remove it and run init."
        yield Error(f"the key in {path} is too short", hint=hint, id="covetbackup.E004")
    if path.stat().st_mode & 0o077:
        text = f"other users can read {path}"
        yield Warning(text, hint=f"chmod 600 {path}", id="covetbackup.W002")


def _catalog_keys_problems() -> Iterator[CheckMessage]:
    path: Path = settings.CATALOG_KEYS_FILE
    if _content(path) is None:
        text = f"{path} is missing or unreadable: all that needs a stored password is locked"
        hint = f"Put the file back, or for a new installation run {command('init')}."
        yield Warning(text, hint=hint, id="covetbackup.W003")
    elif path.stat().st_mode & 0o077:
        text = f"other users can read {path}: all that needs a stored password is locked"
        yield Warning(text, hint=f"chmod 600 {path}", id="covetbackup.W003")


def _site_warnings(scheme: str, host: str) -> Iterator[CheckMessage]:
    if scheme == "http" and not _is_loopback(host):
        text = "COVET_SITE_URL begins with http: passwords and sessions can be read on the way"
        hint = "Serve it through a proxy with a certificate and set the https address."
        yield Warning(text, hint=hint, id="covetbackup.W004")
    allowed = [name.lower() for name in settings.ALLOWED_HOSTS]
    if "*" in allowed:
        text = "COVET_ALLOWED_HOSTS allows every name"
        yield Warning(text, hint="Name the hosts that browsers use.", id="covetbackup.W005")
    elif host not in allowed and f"[{host}]" not in allowed:
        text = f"COVET_ALLOWED_HOSTS does not have {host}, the host of COVET_SITE_URL"
        hint = "Requests for it are answered with 400; add it."
        yield Warning(text, hint=hint, id="covetbackup.W006")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
