"""What the product is made of: its version, the packages it stands on, and their licences."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

PACKAGES = (
    *("boto3", "cryptography", "Django", "django-htmx", "django-otp", "django-q2", "gunicorn"),
    *("isal", "psutil", "psycopg", "redis", "whitenoise", "zlib-ng", "zstandard"),
)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    licence: str


SHIPPED = (
    Part("htmx", "4.0.1", "0BSD"),
    Part("Lucide icons", "1.62.0", "ISC, some MIT"),
)
"""Files of others among our own."""


def version() -> str:
    return _version_of("covetbackup")


def parts() -> list[Part]:
    return [*SHIPPED, *(_part(name) for name in PACKAGES)]


def _part(name: str) -> Part:
    return Part(name, _version_of(name), _licence_of(name))


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from source"


def _licence_of(name: str) -> str:
    """An expression where the package gives one, else what its classifiers say."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if facts["License-Expression"]:
        return str(facts["License-Expression"])
    named = [
        line.rpartition("::")[2].strip()
        for line in facts.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    return ", ".join(named) or str(facts["License"] or "").split("\n")[0][:40]
