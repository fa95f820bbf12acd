"""The programs and libraries that read and write databases on this machine.

A worker on another machine has its own; there, `covetbackup check --deploy` says which.
"""

from __future__ import annotations

import platform
import ssl
from collections.abc import Iterable

from backups.models import Server
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.registry import ENTRIES, kind_named
from covetbackup.system_status.issue import Issue


def programs_here() -> tuple[list[Program], list[Issue]]:
    """Return what is found, and what is missing or too old for the servers in the catalog."""
    found: list[Program] = []
    issues: list[Issue] = []
    for kind in ENTRIES:
        programs, missing = kind_named(kind).programs(_versions(kind))
        found += programs
        issues += [Issue("warn", check.title, check.fix) for check in missing]
    found += [
        Program("Python", platform.python_version(), platform.python_implementation()),
        Program("OpenSSL", ssl.OPENSSL_VERSION.split()[1], "library of Python", is_library=True),
    ]
    return found, issues


def _versions(kind: str) -> Iterable[str]:
    servers = Server.objects.filter(kind=kind)
    return servers.exclude(version="").order_by().values_list("version", flat=True).distinct()
