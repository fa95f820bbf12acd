"""The project's own files as the shape tests see them: what git tracks or would track."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def project_files() -> tuple[str, ...]:
    """Paths relative to the root, sorted; new files count before they are committed."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = sorted(set(filter(None, listing.split("\0"))))
    return tuple(name for name in names if (ROOT / name).is_file())


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Path and syntax tree of each Python file below `folders`, the whole project by default;
    migrations, which Django writes, apart."""
    for name in project_files():
        is_written = name.endswith(".py") and "/migrations/" not in name
        if is_written and name.startswith(folders or ""):
            yield name, _parsed(name)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """The dotted names that `tree` imports; `from a import b` counts as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


@cache
def _parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_bytes(), filename=name)
