"""Tests use what modules offer to all: none reaches for a private name of the product."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.shape.tree import modules

PRODUCT = ("covetbackup", "backups", "restores")


def test_no_test_uses_a_private_name_of_the_product() -> None:
    found = {f"{path}: {name}" for path, tree in modules("tests/") for name in _private_in(tree)}
    assert found == set()


def _private_in(tree: ast.Module) -> Iterator[str]:
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PRODUCT):
            names = [each.name for each in node.names]
            imported.update(each.asname or each.name for each in node.names)
            yield from (f"{node.module}.{name}" for name in names if _is_private(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in imported and _is_private(node.attr):
                yield f"{node.value.id}.{node.attr}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_meta"
