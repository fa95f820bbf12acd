"""Who may import what: arrows go down, and the engine knows no web framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.shape.tree import ROOT, imported_names, modules

CORE = "covetbackup/core/"
DRIVERS = "covetbackup/core/storage/"
START_CHILDREN = {
    "covetbackup/core/stream/process_supervisor.py",  # the parent of each child
    "covetbackup/core/stream/process.py",
}
CHILD_STARTERS = {
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
    "os.popen",
    "os.posix_spawn",
    "os.posix_spawnp",
    "os.system",
    *(f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *(f"os.spawn{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    "os.fork",
    "os.forkpty",
}
CHILD_MODULES = {"multiprocessing", "pty", "subprocess"}
LAZY_IMPORTS = {
    # rich and humanize take longer to import than a short command does
    "covetbackup/core/cli/printing.py",
    "covetbackup/core/cli/terminal.py",
    "covetbackup/core/text.py",
    "covetbackup/core/storage/registry.py",
}
OPTIONAL_DRIVERS = {"boto3", "humanize", "psycopg", "rich"}
STORAGE_KINDS = {"local", "memory", "s3"}

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules["django"] = None
import covetbackup.core as core
for module in pkgutil.walk_packages(core.__path__, "covetbackup.core."):
    importlib.import_module(module.name)
"""


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = _run([str(linter), "--no-logo", "--no-cache"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_engine_module_imports_without_django() -> None:
    done = _run([sys.executable, "-W", "error", "-c", IMPORT_ALL])
    assert done.returncode == 0, done.stderr


def test_drivers_are_loaded_only_when_an_address_asks_for_them() -> None:
    script = "import sys, covetbackup.core.manager, covetbackup.core.cli.main; print(*sys.modules)"
    loaded = _run([sys.executable, "-c", script]).stdout.split()
    assert "covetbackup.core.manager" in loaded
    assert OPTIONAL_DRIVERS.isdisjoint(loaded)


def test_children_are_started_in_one_place() -> None:
    offenders = {name for name, tree in modules(CORE) if set(_child_starters(tree))}
    assert offenders <= START_CHILDREN


def test_storage_drivers_do_not_know_each_other() -> None:
    known = {
        f"{kind} -> {other}"
        for name, tree in modules(DRIVERS)
        if (kind := _storage_kind(name.removeprefix(DRIVERS))) in STORAGE_KINDS
        for imported in imported_names(tree)
        if imported.startswith("covetbackup.core.storage.")
        and (other := _storage_kind(imported.split(".")[3])) in STORAGE_KINDS - {kind}
    }
    assert known == set()


def test_imports_stand_at_the_top_of_their_module() -> None:
    offenders = {name for name, tree in modules(CORE) if any(_imports_in_functions(tree))}
    assert offenders <= LAZY_IMPORTS


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def _storage_kind(module: str) -> str:
    """The first word, "s3" of `s3_upload.py`: what the files of one driver have in common."""
    return module.removesuffix(".py").split("_")[0]


def _child_starters(tree: ast.Module) -> Iterator[str]:
    imported = set(imported_names(tree))
    yield from imported & CHILD_STARTERS
    yield from (name for name in imported if name.split(".")[0] in CHILD_MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CHILD_STARTERS:
            yield ast.unparse(node)


def _imports_in_functions(tree: ast.Module) -> Iterator[ast.AST]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node
