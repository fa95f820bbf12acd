"""Results of restores, as stored in `Restore.result` and as shown.

`result` goes from {} to "publishing" (all loaded and compared, right before the commit) to "done",
or from either to "failed". These are its `state`; the other keys are those of `Summary`, or of
`Leftovers`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from covetbackup.core.databases.checks import counted
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.selection import Selection, renamed
from covetbackup.jobs.models import ACTIVE_STATES, JobState
from restores.models import Restore


class ResultStage(StrEnum):
    """The stages of a result."""

    NONE = ""
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"


class TargetContent(StrEnum):
    """The content of the target server after a failed restore."""

    NOTHING = "nothing"
    TARGET = "target"
    """The worker died while the target got its name, and it has it: it is whole."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Summary:
    """The restored database, compared with the backup.

    `rows` are those of tables whose rows were compared, and of a restore of data alone all that the
    server loaded; `uncounted` tables had only an estimate in the backup. `plain_bytes` were loaded,
    if that is known. What was replaced is `retained_as`. Of a selection, `of_tables` are in the
    backup. `trace` is what the server can tell a commit by.
    """

    tables: int
    rows: int
    uncounted: int
    sequences: int
    large_objects: int
    plain_bytes: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    retained_as: str = ""
    of_tables: int | None = None
    with_data: bool = True
    with_structure: bool = True
    trace: str = ""

    @classmethod
    def of(
        cls,
        whole: Inventory,
        actual: Inventory,
        *,
        selection: Selection | None = None,
        **more: Any,
    ) -> Self:
        """Return the summary for the backup's inventory and the target's.

        The engine found no difference between them, as far as tables were selected.
        """
        whole = renamed(whole, selection.schemas_as if selection else ())
        counts = {table.label: table.rows for table in actual.tables if table.exact}
        labels = {table.label for table in actual.tables}
        expected = [table for table in whole.tables if table.label in labels]
        with_data = selection is None or selection.with_data
        with_structure = selection is None or selection.with_structure
        estimates = [one for one in expected if one.rows is not None and not one.exact]
        compared = [one.label for one in expected if one.exact]
        return cls(
            tables=len(actual.tables),
            rows=sum(counts.get(label) or 0 for label in (compared if with_structure else counts)),
            uncounted=len(estimates) if with_data else 0,
            sequences=len(actual.sequences),
            large_objects=actual.large_objects,
            of_tables=len(whole.tables) if selection else None,
            with_data=with_data,
            with_structure=with_structure,
            **more,
        )

    @property
    def sentence(self) -> str:
        """The summary as text: "84 tables with 1,203,441 rows, all as in the backup".

        Of a selection it begins "3 of 84 tables".
        """
        tables = counted(self.tables, "table")
        if self.of_tables is not None:
            tables = f"{self.tables:,} of {counted(self.of_tables, 'table')}"
        if not self.with_data:
            return f"the structure of {tables}, as in the backup"
        if not self.with_structure:
            return f"{counted(self.rows, 'row')} for {tables}, all of the backup"
        return f"{tables} with {counted(self.rows, 'row')}, all as in the backup"

    @property
    def rows_text(self) -> str:
        """The number of rows as text."""
        return f"{self.rows:,}"

    def to_json(self, stage: ResultStage) -> dict[str, Any]:
        return {"state": stage.value, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The leftovers of a failed restore on the target server.

    `swept` scratch databases were removed; `problem` says what could not be removed, or why nothing
    is known.
    """

    kept: TargetContent
    swept: list[str] = field(default_factory=list)
    problem: str = ""
    retained_as: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"state": ResultStage.FAILED.value, **asdict(self)}


def stage_of(restore: Restore) -> ResultStage:
    """Return the stage of a restore's result."""
    return ResultStage(restore.result.get("state", ""))


def is_settled(restore: Restore) -> bool:
    """Return whether the result is recorded; a job's state changes a moment earlier."""
    return stage_of(restore) in (ResultStage.DONE, ResultStage.FAILED)


def summary_of(restore: Restore) -> Summary | None:
    """Return the summary, None before the commit and for a failed restore."""
    if stage_of(restore) not in (ResultStage.DONE, ResultStage.PUBLISHING):
        return None
    return _read(Summary, restore.result)


def leftovers_of(restore: Restore) -> Leftovers | None:
    """Return the leftovers, None unless the restore failed."""
    if stage_of(restore) is not ResultStage.FAILED:
        return None
    found = _read(Leftovers, restore.result)
    return replace(found, kept=TargetContent(found.kept))


def heading(restore: Restore) -> str:
    """Return the heading of the page, one sentence."""
    state = restore.job.state if restore.job else JobState.INTERRUPTED
    summary, request = summary_of(restore), restore.request
    name = request.database
    if stage_of(restore) is ResultStage.DONE and summary is not None:
        if request.replace:
            return f"{name} was replaced: {summary.sentence}"
        if request.into_existing:
            return f"Restored into {name}: {summary.sentence}"
        return f"{name} was restored: {summary.sentence}"
    if state in ACTIVE_STATES:
        source = restore.backup.database.name
        if request.replace:
            return f"Replacing {name} from a backup of {source}"
        return f"Restoring {source} {'into' if request.into_existing else 'as'} {name}"
    if state == JobState.CANCELLED:
        return f"The restore {'into' if request.into_existing else 'of'} {name} was cancelled"
    leftovers = leftovers_of(restore)
    if leftovers is not None and leftovers.kept is TargetContent.TARGET and request.replace:
        return f"{name} was replaced, but the restore did not finish"
    if request.into_existing:
        return _restored_into(name, leftovers)
    return f"{name} was not {'replaced' if request.replace else 'restored'}"


def explanation(restore: Restore) -> str:
    """Return the state of source and target after a failed restore."""
    leftovers = leftovers_of(restore)
    if restore.request.replace:
        return _explain_replacement(restore.request.database, leftovers)
    if restore.request.into_existing:
        return _explain_into_existing(restore.request.database, leftovers)
    source = "The source and its backup are unchanged."
    if leftovers is None:
        return f"{source} The target server is being checked for remains."
    told = {
        TargetContent.NOTHING: "Nothing remains on the target server.",
        TargetContent.TARGET: (
            f"{restore.request.database} exists on the target server: it was loaded and compared "
            "with the backup, and the worker stopped while it was renamed. Check it before use."
        ),
        TargetContent.UNKNOWN: (
            "The target server could not be checked: "
            f"{leftovers.problem}. A database called covet_restore_… may remain; the next restore "
            "to this server removes it."
        ),
    }
    return f"{source} {told[leftovers.kept]}"


def _is_nothing(leftovers: Leftovers | None) -> bool:
    return leftovers is None or leftovers.kept is TargetContent.NOTHING


def _restored_into(name: str, leftovers: Leftovers | None) -> str:
    if _is_nothing(leftovers):
        return f"Nothing was restored into {name}"
    is_known = leftovers is not None and leftovers.kept is TargetContent.TARGET
    return f"All data {'was' if is_known else 'may have been'} restored into {name}"


def _explain_into_existing(name: str, leftovers: Leftovers | None) -> str:
    if _is_nothing(leftovers):
        return f"{name} is unchanged: restored data becomes visible only in the last step."
    if leftovers is not None and leftovers.kept is TargetContent.TARGET:
        return (
            f"All of it is in {name}, loaded and compared with the backup; the worker stopped "
            "right after the commit."
        )
    return (
        f"All was loaded and compared, and the worker or the server was lost during the commit to "
        f"{name}. All of it is there or nothing: check its tables before you try again."
    )


def _explain_replacement(name: str, leftovers: Leftovers | None) -> str:
    if leftovers is None:
        return f"The target server is being checked for the state of {name}."
    told = {
        TargetContent.NOTHING: f"{name} is unchanged, and nothing else remains.",
        TargetContent.TARGET: (
            f"{name} is the restored database, loaded and compared with the backup; the worker "
            "stopped right after the swap. The previous database is retained as "
            f"{leftovers.retained_as}."
        ),
        TargetContent.UNKNOWN: (
            f"The target server could not be asked: {leftovers.problem}. {name} exists in any "
            "case: unchanged, or replaced with the previous database under a dated name."
        ),
    }
    return told[leftovers.kept]


def _read(kind: type[Any], data: dict[str, Any]) -> Any:
    names = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in names})
