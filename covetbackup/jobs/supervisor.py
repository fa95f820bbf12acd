"""The function that tasks in a broker name: they may wait there through an upgrade."""

from __future__ import annotations

from covetbackup.jobs.worker.supervisor import run

__all__ = ["run"]
