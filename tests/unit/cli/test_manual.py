"""`covet COMMAND --help` reads like a manual page, and its examples are commands there are."""

from __future__ import annotations

import shlex

import pytest

from covetbackup.core.cli.arguments import COMMANDS, parser
from covetbackup.core.cli.exits import EXITS
from covetbackup.core.cli.main import main
from covetbackup.core.cli.manuals import MANUALS, ROOT


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_has_summary_options_example_and_exit_statuses(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    text = help_of(capsys, *command)
    manual = MANUALS[command[0]] if command else ROOT
    assert text.startswith(f"usage: {' '.join(('covet', *command))}")
    assert f"{manual.summary[1:]}.\n" in text
    assert "\nexample:\n  covet " in text
    for status, meaning in EXITS.items():
        assert f"  {status:3}  {meaning}\n" in text
    assert not command or ("\noutput:\n" in text and "--json" in text and "--quiet" in text)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_is(capsys: pytest.CaptureFixture[str], name: str) -> None:
    lines = help_of(capsys, name).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  -") and not line.startswith("  -h"):
            words = line.split("  ")
            alone = len([word for word in words if word.strip()]) == 1
            assert not alone or lines[number + 1].startswith(" " * 20), line


@pytest.mark.parametrize("name", sorted(MANUALS))
def test_every_example_is_parsed(name: str) -> None:
    script = MANUALS[name].example.replace("\\\n", " ").strip()
    for line in script.splitlines():
        words = shlex.split(line.split("|")[0])
        assert words[0] == "covet"
        assert parser().parse_args(words[1:]).command in COMMANDS.values()
    assert parser().parse_args(words[1:]).command is COMMANDS[name]
