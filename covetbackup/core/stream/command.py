"""Commands: a program, its arguments, its environment and its secret files. Starts nothing."""

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
    """A file that only the child gets, standing for its path in arguments or environment.

    `SecretFile` is one.
    """

    def open(self) -> int:
        """Return a descriptor of the file; the caller closes it."""

    def argument(self, descriptor: int) -> str:
        """Return what the program is told, once it has inherited `descriptor`."""


Arguments = Sequence[str | ChildFile]
Environment = Mapping[str, str | ChildFile]


@dataclass(frozen=True, slots=True)
class ResolvedCommand:
    """A command as the program gets it: `argv` begins with the program's absolute path.

    `files` are the descriptors of secret files that it must inherit.
    """

    argv: list[str]
    env: dict[str, str]
    files: set[int]


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run; its environment is PATH, LANG=C.UTF-8 and `env`, nothing else.

    `secrets` are cut out of everything that is retained of the program's messages.
    """

    argv: Arguments
    env: Environment
    secrets: Sequence[Secret]
    name: str

    @property
    def label(self) -> str:
        """The name of the program in messages."""
        return self.name or os.path.basename(str(self.argv[0]))

    def resolve(self, files: ExitStack) -> ResolvedCommand:
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
        return ResolvedCommand([os.path.abspath(found), *arguments], env, opened)
