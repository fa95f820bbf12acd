"""One thing that is wrong with the installation, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem of the installation.

    `tone` is "bad" for what keeps work from being done, else "warn". `id` names the system check
    that found it, if one did.
    """

    tone: str
    text: str
    hint: str = ""
    id: str = ""
