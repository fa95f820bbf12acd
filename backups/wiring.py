"""From rows of the catalog to the engine: what views, tasks and restores call. A thin face."""

from __future__ import annotations

from backups.discovery import Discovery, discover
from backups.engines import (
    engine_for,
    engine_on,
    keyring_for,
    open_repository,
    target_on,
    writing_keyring_for,
)
from backups.probing import Finding, ServerCheck, probe_server

__all__ = [
    "Discovery",
    "Finding",
    "ServerCheck",
    "discover",
    "engine_for",
    "engine_on",
    "keyring_for",
    "open_repository",
    "probe_server",
    "target_on",
    "writing_keyring_for",
]
