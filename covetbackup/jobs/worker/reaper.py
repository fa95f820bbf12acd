"""Reaping of processes that outlived their parent: found, given time, killed."""

from __future__ import annotations

import os
import signal
import time
import uuid

import psutil

from covetbackup.jobs.worker.runner import name_of

GRACE_SECONDS = 8.0
"""An orphaned runner ends by itself within six seconds; what is still there then hangs."""

_seen_at: dict[int, float] = {}


def is_running(process: int) -> bool:
    """Return whether there is such a process that is not a zombie."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def runner_of(token: uuid.UUID) -> int | None:
    """Return the process that runs the attempt with this token."""
    for process in psutil.process_iter(["name", "status"]):
        is_dead = process.info["status"] == psutil.STATUS_ZOMBIE
        if process.info["name"] == name_of(token) and not is_dead:
            return process.pid
    return None


def end_runner(token: uuid.UUID) -> bool:
    """Return whether the runner of this attempt still lives; kill it when it is overdue."""
    process = runner_of(token)
    if process is None:
        return False
    if is_overdue(process):
        kill_group(process)
    return True


def is_overdue(process: int) -> bool:
    """Return whether the process was first asked to end longer ago than that may take."""
    now = time.monotonic()
    return now - _seen_at.setdefault(process, now) > GRACE_SECONDS


def kill_group(leader: int) -> None:
    """Kill the process, and the group if it leads one."""
    try:
        if os.getpgid(leader) == leader:
            os.killpg(leader, signal.SIGKILL)
        else:
            os.kill(leader, signal.SIGKILL)
    except OSError:
        pass  # gone already


def reap_children(own: set[int]) -> None:
    """Reap and, when overdue, kill the children of this process that are not its `own`.

    These are the ones that it was given as subreaper when their parent died.
    """
    for child in psutil.Process().children():
        if child.pid in own:
            continue
        if not is_running(child.pid):
            _reap(child.pid)
        elif is_overdue(child.pid):
            kill_group(child.pid)


def kill_all() -> None:
    """Kill every descendant of this process and reap those that become its children."""
    deadline = time.monotonic() + 2.0
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for process in left:
            kill_group(process.pid)
        for process in left:
            _reap(process.pid)
        time.sleep(0.02)


def _reap(process: int) -> None:
    _seen_at.pop(process, None)
    try:
        os.waitpid(process, os.WNOHANG)
    except OSError:
        pass  # not a child of ours
