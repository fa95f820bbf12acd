"""Parameters of an address that are not applied: to ignore a filter silently shows too much."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_NEVER_FILTERS = ("cursor",)
_MOST, _LONGEST = 10, 60


def ignored(
    given: Mapping[str, str], known: Collection[str] = (), wrong: Collection[str] = ()
) -> list[str]:
    """Return each parameter, as "name=value", that is not `known` or has a `wrong` value."""
    found = [
        f"{name}={value}"[:_LONGEST]
        for name, value in given.items()
        if value and name not in _NEVER_FILTERS and (name not in known or name in wrong)
    ]
    return found[:_MOST]
