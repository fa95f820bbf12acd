"""What the test of a connection finds: values, made by `probing` and shown by pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is missing. `fix` is what to run or do; unless `is_blocking` backups work."""

    title: str
    detail: str
    fix: str
    is_blocking: bool = True


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """What the test of a connection found. `looked_at` of the `databases` were opened."""

    version: str
    tool_version: str
    databases: int
    looked_at: int
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        return not any(finding.is_blocking for finding in self.findings)
