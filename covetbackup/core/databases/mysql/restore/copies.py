"""Restore of a database under another name than it was backed up under.

Bodies of stored objects may still name the original; this says which are changed, which would act
on the original, and which events run.
"""

from __future__ import annotations

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.archive import rewrite
from covetbackup.core.databases.mysql.archive.requalify import Renaming, mentions, with_database
from covetbackup.core.databases.mysql.archive.spool import Script
from covetbackup.core.databases.mysql.archive.stored_objects import (
    count_unread_triggers,
    programs_that,
)
from covetbackup.core.databases.mysql.inventory.placement import tablespaces_of, without_locations
from covetbackup.core.databases.mysql.inventory.references import is_copy, listed
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.errors import Incomplete


def programs_in(script: Script, expected: Inventory, name: str) -> Script:
    """Return the triggers, routines and views of `script` for a database called `name`.

    Raises `Incomplete` if a trigger that may name the original is in a form not known here: it
    would be created on the original's table.
    """
    settings = expected.settings or {}
    original = settings.get("database", "")
    ignore_case = settings.get("lower_case_table_names", "0") != "0"
    found = with_database(script, Renaming(original, name, ignore_case))
    unread = count_unread_triggers(script)
    if unread and original and mentions(script, original, ignore_case=ignore_case):
        raise Incomplete(
            f"{unread} triggers of programs.sql are in a form not known here and may name database"
            f" {original!r}",
            "restore single tables, which leaves such triggers out, and create them by hand",
        )
    return found


class Copy:
    """The changes of stored objects in a restore as `target`; `notes` are for the result."""

    def __init__(
        self, expected: Inventory, target: str, *, replaces: bool, enables_events: bool
    ) -> None:
        settings = expected.settings or {}
        self._original = settings.get("database", "")
        self._folded = settings.get("lower_case_table_names", "0") != "0"
        self._target = target
        self._is_copy = is_copy(expected, target)
        self._replaces = replaces
        self._enables_events = enables_events
        self._naming: list[str] = []
        self._disabled: list[str] = []
        self._past: list[str] = []
        self._places: list[str] = []

    @property
    def notes(self) -> list[str]:
        lines = []
        if self._naming:
            lines.append(
                f"these name database {self._original!r} in their bodies and act on it, not on"
                f" {self._target!r}: {listed(self._naming)}"
            )
        if self._disabled:
            lines.append(
                f"events are disabled, as {self._target!r} is a copy of {self._original!r}:"
                f" {listed(self._disabled)}; run ALTER EVENT name ENABLE for those that shall run"
            )
        if self._places:
            lines.append(
                "files of tables are in the server's own data directory, not where the original's"
                f" were: {listed(self._places)}"
            )
        if self._past:
            lines.append(
                "the time of these events is over, so they are kept disabled and will not run:"
                f" {listed(self._past)}; drop them, or give them another schedule"
            )
        return lines

    def with_own_places(self, script: Script, connection: Connection) -> Script:
        """Return `script` of tables with their files where this server keeps its own."""
        found, self._places = without_locations(script, tablespaces_of(connection))
        return found

    def note_programs(self, script: Script) -> None:
        """Look for triggers and routines of `script` that will act on the original."""
        if self._is_copy and self._names_original(script):
            self._naming += programs_that(script, self._names_original)

    def events_to_run(self, script: Script) -> set[str]:
        """Return the names of the events that will run, of those that did.

        Of a copy none runs unless that was requested; of one that replaces a database those run
        that do not name the original.
        """
        enabled = rewrite.enabled_events(script)
        if not self._is_copy:
            return enabled
        naming = rewrite.events_that(script, self._names_original)
        self._naming += sorted(f"event {name}" for name in naming)
        disabled = set[str]()
        if not self._enables_events:
            disabled = enabled & naming if self._replaces else enabled
        self._disabled = sorted(disabled)
        return enabled - disabled

    def with_past_events(self, script: Script, connection: Connection) -> Script:
        """Return `script` of events with those kept whose time is over on this server."""
        query = "SELECT convert_tz(%s, %s, '+00:00') < utc_timestamp()"

        def is_past(moment: str, zone: str) -> bool:
            return bool(connection.value(query, [moment, zone]) == 1)

        found, self._past = rewrite.preserve_past_events(script, is_past)
        return found

    def _names_original(self, statement: Script) -> bool:
        return mentions(statement, self._original, ignore_case=self._folded)
