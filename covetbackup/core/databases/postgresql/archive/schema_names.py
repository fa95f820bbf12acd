"""Validation of the new names of renamed schemas. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from covetbackup.core.errors import BadSetting

_NAME_BYTES = 63


def validate_schema_names(
    schemas_as: Sequence[tuple[str, str]], restored: Collection[str], *, taken: Collection[str]
) -> None:
    """Raise `BadSetting` unless the pairs of old and new names in `schemas_as` are possible.

    Each old name must be one of the `restored` schemas, and each new one a valid name that is not
    `taken`.
    """
    new_names = [new for _, new in schemas_as]
    for old, new in schemas_as:
        if old not in restored:
            raise BadSetting(
                f"nothing of schema {old!r} is restored, so it cannot be renamed",
                f"these schemas are: {', '.join(sorted(restored))}",
            )
        if not new.strip() or not new.isprintable() or new.startswith("pg_"):
            raise BadSetting(f"{new[:80]!r} is not a valid schema name", "enter another name")
        if len(new.encode()) > _NAME_BYTES:
            raise BadSetting(f"the schema name {new[:80]!r} is longer than {_NAME_BYTES} bytes")
        if new in taken:
            raise BadSetting(f"schema {new!r} exists as well", "enter another name")
    if len(set(new_names)) < len(new_names) or len(dict(schemas_as)) < len(schemas_as):
        raise BadSetting("two schemas cannot have the same name, nor one schema two names")
