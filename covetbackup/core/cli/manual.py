"""The layout of `--help` of both command lines: that of a manual page."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from covetbackup.core.cli.exits import EXITS


@dataclass(frozen=True, slots=True)
class Manual:
    """The text of `--help` of a command beside its options.

    `summary` is one line without a full stop, `details` are paragraphs, `example` is one command
    line or several that can be pasted.
    """

    summary: str
    details: str
    example: str


class ManualFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves description and epilog as they are, and gives long options a line of their own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)


def description(manual: Manual) -> str:
    """Return what stands above the options: the summary, then the details."""
    summary = manual.summary[0].upper() + manual.summary[1:] + "."
    details = [_filled(paragraph) for paragraph in manual.details.split("\n\n") if paragraph]
    return "\n\n".join([summary, *details])


def epilog(manual: Manual, exits: Mapping[int, str] = EXITS) -> str:
    """Return what stands below the options: the example and the exit statuses."""
    example = textwrap.indent(textwrap.dedent(manual.example).strip("\n"), "  ")
    statuses = "\n".join(f"  {status:3}  {meaning}" for status, meaning in exits.items())
    shown = [f"example:\n{example}"] if manual.example else []
    return "\n\n".join([*shown, f"exit status:\n{statuses}"])


def _filled(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), 98)
