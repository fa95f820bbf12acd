"""What to run: a program, its arguments, its environment and its secret files. Starts nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from covetbackup.core.errors import ToolMissing
from covetbackup.core.stream.secret import Secret, SecretFile

Arguments = Sequence[str | SecretFile]
Environment = Mapping[str, str | SecretFile]


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

        def text(item: str | SecretFile) -> str:
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
