"""Settings of workers under test: kinds of work of their own, quick times, lines on stderr."""

from __future__ import annotations

import os

from covetbackup import settings as real
from tests.web.settings import *  # noqa: F403

JOB_KINDS = {
    name: f"tests.web.jobs.kinds.{name}"
    for name in (
        "steps",
        "blocked",
        "deaf",
        "killed",
        "failing",
        "outage",
        "unforeseen",
        "unwelcome",
        "family",
        "baggage",
    )
}
JOB_HOOKS = dict.fromkeys(JOB_KINDS, "tests.web.jobs.kinds.hook")
JOB_PERMISSIONS = {"failing": "run_backup"}
_ALL = int(os.environ.get("COVET_TEST_LIMIT", "4"))
JOB_LIMITS = {"all": _ALL, "server": 2, "repository": _ALL}
JOB_SECONDS = {
    "heartbeat": 1,
    "lease": int(os.environ.get("COVET_TEST_LEASE", "90")),
    "tick": 1,
    "notify_again": 4,
    "hook_again": 20,
    "retry": 1,
    "retry_most": 4,
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(name)s %(message)s"}},
    "filters": real.LOGGING["filters"],
    "loggers": real.LOGGING["loggers"],
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
