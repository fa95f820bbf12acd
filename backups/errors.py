"""Errors of the catalog, in addition to the engine's. The same rules hold for their texts."""

from __future__ import annotations

from covetbackup.core.errors import Conflict, KeyUnavailable


class SecretsLocked(KeyUnavailable):
    """The key that seals the catalog's secrets is not at hand: nothing that needs one can run."""


class Held(Conflict):
    """A hold, a pin or work in progress keeps a backup from being removed."""
