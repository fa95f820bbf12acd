"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

from tests.shape.tree import ROOT, modules

FILE_LINES = 400
TEST_FILE_LINES = 500
FUNCTION_LINES = 50


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name, _ in modules()}
    too_long = {name: length for name, length in lengths.items() if length > _cap(name)}
    assert too_long == {}


def test_no_function_is_longer_than_the_cap() -> None:
    too_long = {
        f"{name}:{node.name}": length
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert too_long == {}


def _cap(name: str) -> int:
    return TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES
