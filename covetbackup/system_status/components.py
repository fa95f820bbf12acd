"""Components of the product: its version, its packages, and their licences."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from django.conf import settings

_OWN = "covetbackup"


@dataclass(frozen=True, slots=True)
class Component:
    """A component."""

    name: str
    version: str
    licence: str


SHIPPED = (
    Component("htmx", "4.0.1", "0BSD"),
    Component("Lucide icons", "1.62.0", "ISC, some MIT"),
)
"""Files of others among our own."""


def version() -> str:
    """Return the version of the product."""
    try:
        return metadata.version(_OWN)
    except metadata.PackageNotFoundError:
        return "from source"


def components() -> list[Component]:
    """Return what is shipped with the product, and the installed packages that it requires."""
    return [*SHIPPED, *_packages()]


def _packages() -> Iterator[Component]:
    for name in sorted(_names(), key=str.lower):
        try:
            yield Component(name, metadata.version(name), _licence_of(name))
        except metadata.PackageNotFoundError:
            continue  # for another version of Python


def _names() -> set[str]:
    wanted = [line for line in _requirements() if "extra ==" not in line]
    return {line[: found.end()] for line in wanted if (found := re.match(r"[\w.-]+", line))}


def _requirements() -> list[str]:
    """Of the installed package; of the source tree, where it runs from there."""
    try:
        return metadata.requires(_OWN) or []
    except metadata.PackageNotFoundError:
        project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text("utf-8"))
        return list(project["project"]["dependencies"])


def _licence_of(name: str) -> str:
    """An expression where the package gives one, else what its classifiers say."""
    facts = metadata.metadata(name)
    if facts["License-Expression"]:
        return str(facts["License-Expression"])
    named = [
        line.rpartition("::")[2].strip()
        for line in facts.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    return ", ".join(named) or str(facts["License"] or "").split("\n")[0][:40]
