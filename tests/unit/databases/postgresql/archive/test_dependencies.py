"""What a selection of tables comes to, told from contents alone."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.postgresql.archive.contents import Entry, Section, TableOfContents
from covetbackup.core.databases.postgresql.archive.dependencies import resolve_dependencies
from covetbackup.core.databases.selection import Selection

ORDER, ITEMS = 1, 2


def _entry(dump_id: int, kind: str, tag: str, *dependencies: int) -> Entry:
    return Entry(
        dump_id=dump_id,
        has_data=False,
        oid=dump_id,
        tag=tag.encode(),
        kind=kind.encode(),
        section=Section.PRE_DATA,
        definition=b"",
        copy_statement=b"",
        schema=b"public",
        dependencies=dependencies,
        raw=b"",
    )


@pytest.mark.parametrize("kind", ["POLICY", "TRIGGER", "RULE", "DEFAULT"])
def test_what_only_uses_a_table_does_not_belong_to_it(kind: str) -> None:
    """Neither does it if its own table is called alike."""
    tables = _entry(ORDER, "TABLE", "order"), _entry(ITEMS, "TABLE", "order_items")
    mine = _entry(3, kind, "order mine", ORDER)
    others = _entry(4, kind, "order_items others", ORDER, ITEMS)
    contents = TableOfContents((1, 16, 0), False, b"", (*tables, mine, others), 0)
    assert resolve_dependencies(contents, Selection(("public.order",))).dump_ids == {ORDER, 3}
    assert resolve_dependencies(contents, Selection(("public.order_items",))).dump_ids == {
        ORDER,
        ITEMS,
        3,
        4,
    }
