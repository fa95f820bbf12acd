"""Which names the schemas of a selection may get. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from covetbackup.core.errors import BadSetting

_NAME_BYTES = 63


def refuse_unfit_names(
    schemas_as: Sequence[tuple[str, str]], there: Collection[str], *, taken: Collection[str]
) -> None:
    """Raises `BadSetting` unless each old name is one of the schemas `there` that are restored, and
    each new one is a possible name that is not `taken`."""
    new_names = [new for _, new in schemas_as]
    for old, new in schemas_as:
        if old not in there:
            raise BadSetting(
                f"nothing of schema {old!r} is restored, so it gets no other name",
                f"of these something is: {', '.join(sorted(there))}",
            )
        if not new.strip() or not new.isprintable() or new.startswith("pg_"):
            raise BadSetting(f"no schema can be called {new[:80]!r}", "choose another name for it")
        if len(new.encode()) > _NAME_BYTES:
            raise BadSetting(f"the schema name {new[:80]!r} is longer than {_NAME_BYTES} bytes")
        if new in taken:
            raise BadSetting(f"schema {new!r} is there as well", "choose another name")
    if len(set(new_names)) < len(new_names) or len(dict(schemas_as)) < len(schemas_as):
        raise BadSetting("two schemas cannot get one name, nor one schema two")
