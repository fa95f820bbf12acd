"""Habits of the code that no linter checks: docstrings, module names, what may catch everything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

from tests.shape.tree import modules

NAMES_THAT_SAY_NOTHING = {"common", "helpers", "misc", "utils"}

MAY_SWALLOW_EVERYTHING = {"covetbackup/jobs/worker/runner.py"}
"""Files that may catch BaseException and go on; all others must end such a handler in `raise`."""


def test_every_module_says_what_it_is_for() -> None:
    silent = {name for name, tree in modules() if tree.body and not ast.get_docstring(tree)}
    assert silent == set()


def test_every_module_has_a_name_that_says_something() -> None:
    vague = {name for name, _ in modules() if NAMES_THAT_SAY_NOTHING & _words(PurePath(name))}
    assert vague == set()


def test_cancellation_is_never_swallowed() -> None:
    swallowing = {
        name
        for name, tree in modules("covetbackup/")
        for handler in _catch_alls(tree)
        if not _reraises(handler)
    }
    assert swallowing <= MAY_SWALLOW_EVERYTHING


def _words(path: PurePath) -> set[str]:
    return {*path.parent.parts, path.stem}


def _catch_alls(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if "BaseException" in caught.replace("BaseExceptionGroup", ""):
                yield node


def _reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
