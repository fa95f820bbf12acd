"""Commands as pages and messages show them: they can be pasted into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

from django.conf import settings


def command(*words: object) -> str:
    """Return the command line that runs the dashboard's command `words`, quoted for a shell.

    The program is `covetbackup` where it is installed on the path, its path elsewhere. In a
    checkout the path begins at the root of it: the command is for a shell in that folder.
    """
    return shlex.join([*_program(), *map(str, words)])


@cache
def _program() -> list[str]:
    # Not resolved: the link in a virtual environment is what makes its packages found.
    python = Path(sys.executable)
    program = python.with_name("covetbackup")
    if not program.is_file():
        return [_from_root(python), "manage.py"]
    on_path = shutil.which("covetbackup")
    if on_path and Path(on_path).resolve() == program.resolve():
        return ["covetbackup"]
    return [_from_root(program)]


def _from_root(path: Path) -> str:
    is_inside = settings.IS_CHECKOUT and path.is_relative_to(settings.BASE_DIR)
    return str(path.relative_to(settings.BASE_DIR) if is_inside else path)
