"""`covetbackup COMMAND --help` reads like a manual page, for every command of ours."""

from __future__ import annotations

import shlex

import pytest
from django.core.management import get_commands, load_command_class

from covetbackup.manual_command import ManualCommand

OURS = sorted(
    name for name, app in get_commands().items() if app.startswith(("backups", "covet", "restores"))
)


def command(name: str) -> ManualCommand:
    made = load_command_class(get_commands()[name], name)
    assert isinstance(made, ManualCommand), f"{name} has no manual"
    return made


@pytest.mark.parametrize("name", OURS)
def test_help_has_summary_example_and_exit_statuses(name: str) -> None:
    made = command(name)
    text = made.create_parser("covetbackup", name).format_help()
    assert text.startswith(f"usage: covetbackup {name} [-h]")
    assert f"{made.manual.summary[1:]}.\n" in text
    assert f"\nexample:\n  covetbackup {name}" in text
    for status, meaning in made.exits.items():
        assert f"  {status:3}  {meaning}" in text
    assert "--quiet" in text and ("--json" in text) is made.reports
    assert "--pythonpath" not in text and "--skip-checks" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", OURS)
def test_every_example_is_parsed(name: str) -> None:
    made = command(name)
    words = shlex.split(made.manual.example.replace("\\\n", " "))
    assert words[:2] == ["covetbackup", name]
    made.create_parser("covetbackup", name).parse_args(words[2:])
