"""What to run: a program, its arguments, its environment and its secret files. Starts nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from covetbackup.core.errors import ToolMissing
from covetbackup.core.stream.secret import Secret


class ChildFile(Protocol):
    """Stands in arguments or environment for the path of a file that only the child gets, such
    as a `SecretFile`."""

    def open(self) -> int:
        """A descriptor of the file; the caller closes it."""

    def argument(self, descriptor: int) -> str:
        """What the program is given, once it has inherited `descriptor`."""


Arguments = Sequence[str | ChildFile]
Environment = Mapping[str, str | ChildFile]


@dataclass(frozen=True, slots=True)
class Placed:
    """Arguments, the program's absolute path first, and environment as the program gets them,
    and the descriptors of secret files that it must inherit."""

    argv: list[str]
    env: dict[str, str]
    files: set[int]


@dataclass(frozen=True, slots=True)
class Command:
    """The environment is PATH, LANG=C.UTF-8 and `env`, nothing else. `secrets` are cut out of
    everything that is kept of the program's messages."""

    argv: Arguments
    env: Environment
    secrets: Sequence[Secret]
    name: str

    @property
    def label(self) -> str:
        """What the program is called in messages."""
        return self.name or os.path.basename(str(self.argv[0]))

    def placed(self, files: ExitStack) -> Placed:
        """Open the secret files, which `files` will close. Raises `ToolMissing`."""
        opened: set[int] = set()

        def text(item: str | ChildFile) -> str:
            if isinstance(item, str):
                return item
            descriptor = item.open()
            files.callback(os.close, descriptor)
            opened.add(descriptor)
            return item.argument(descriptor)

        env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        env |= {name: text(value) for name, value in self.env.items()}
        program, *arguments = (text(item) for item in self.argv)
        found = shutil.which(program, path=env["PATH"])
        if found is None:
            raise ToolMissing(f"{program} is not installed", hint="install it, or add it to PATH")
        return Placed([os.path.abspath(found), *arguments], env, opened)
