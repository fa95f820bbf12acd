"""Folders of tests for servers and programs that run as another user."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def open_to_other_users(folder: Path) -> None:
    """Let other users enter `folder`, whose parents pytest closed to all but the one it runs as."""
    for closed in takewhile(
        lambda each: not each.stat().st_mode & 0o001, (folder, *folder.parents)
    ):
        closed.chmod(closed.stat().st_mode | 0o055)
