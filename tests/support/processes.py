"""Which processes there are, read from /proc."""

from __future__ import annotations

from pathlib import Path


def descendants(process: int) -> dict[int, str]:
    """Ids and names of all processes that `process` started, directly or not."""
    parents = _parents()
    found: dict[int, str] = {}
    newest = {process}
    while newest:
        newest = {child for child, (parent, _) in parents.items() if parent in newest}
        found |= {child: parents[child][1] for child in newest}
    return found


def is_running(process: int) -> bool:
    """Whether there is such a process that is not only waiting to be buried."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def _parents() -> dict[int, tuple[int, str]]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(stat.parent.name)] = (int(rest.split()[1]), name)
    return found
