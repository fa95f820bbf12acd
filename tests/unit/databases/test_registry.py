"""The registry knows of each kind, without importing it, what the kind itself says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from covetbackup.core.cli.arguments import parser
from covetbackup.core.databases.registry import (
    ENTRIES,
    RegisteredKind,
    further_options,
    restore_features,
)


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_further_options_are_those_of_the_kind(kind: str) -> None:
    assert list(ENTRIES[kind].options) == [
        switch.name for switch in restore_features(kind).switches
    ]


def test_no_two_kinds_have_an_option_of_one_name() -> None:
    assert len(further_options()) == sum(len(entry.options) for entry in ENTRIES.values())


def test_the_command_line_takes_the_options_of_a_new_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = RegisteredKind("Toy files", ("toy",), "nowhere", {"without_comments": "leave them out"})
    monkeypatch.setitem(ENTRIES, "toy", toy)
    restore = ["restore", "file:///r", "latest", "--as", "toy:///x"]
    assert parser().parse_args(restore).options == []
    given = parser().parse_args([*restore, "--without-comments", "--skip-failing"])
    assert given.options == ["without_comments", "skip_failing"]


def test_parsing_a_command_line_imports_no_kind() -> None:
    program = (
        "import sys\n"
        "from covetbackup.core.cli.arguments import parser\n"
        "parser().format_help()\n"
        "kinds = [f'covetbackup.core.databases.{kind}' for kind in sys.argv[1:]]\n"
        "sys.exit(any(name.startswith(tuple(kinds)) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program, *ENTRIES], check=False).returncode == 0
