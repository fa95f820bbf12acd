"""Real work that waits at one call, so that a test can do something at exactly that moment.

The file `pause` names the call: dotted, a function or a method. When it is reached there is a file
`paused`, and it goes on once there is a file `go`.
"""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

from django.conf import settings
from django.utils.module_loading import import_string

from covetbackup import settings as real
from covetbackup.jobs.work import Work


def run(work: Work) -> None:
    perform = import_string(real.JOB_KINDS[work.job.kind])
    pause = settings.VAR_DIR / "pause"
    if not pause.exists():
        perform(work)
        return
    name = pause.read_text()
    with mock.patch(name, _waiting(_found(name))):
        perform(work)


def _found(name: str) -> Any:
    owner, _, last = name.rpartition(".")
    try:
        return import_string(name)
    except ImportError:
        return getattr(import_string(owner), last)


def _waiting(call: Any) -> Any:
    def wait(*arguments: Any, **options: Any) -> Any:
        folder = settings.VAR_DIR
        (folder / "paused").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
        return call(*arguments, **options)

    return wait
