"""Commands as pages show them: to be pasted into a shell in the folder of the installation."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from django.conf import settings


def command(*words: object) -> str:
    """`manage.py` with `words`, run by the Python that runs the dashboard; quoted for a shell."""
    return shlex.join([_python(), "manage.py", *map(str, words)])


def _python() -> str:
    # Not resolved: the link in a virtual environment is what makes its packages found.
    python = Path(sys.executable)
    if python.is_relative_to(settings.BASE_DIR):
        return str(python.relative_to(settings.BASE_DIR))
    return str(python)
