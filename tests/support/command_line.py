"""Runs the engine's command line as people do: in a process of its own, with key files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.s3 import S3Endpoint

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Works in `folder`, which holds the key files "working.key" and "recovery.key".

    `prefix` begins each command line, `module` is what is run.
    """

    folder: Path
    prefix: tuple[str, ...] = ()
    module: str = "covetbackup.core"

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", self.module, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.folder)},
            **{**streams, **options},
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Standard output of a command that must end with `status`."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == status, f"{process.returncode}: {err.decode()}{out.decode()}"
        return out.decode()

    def json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run(*arguments, "--json", status=status))
        assert answer["status"] == status
        return answer

    def file(self, name: str, text: str) -> str:
        """A file that only we can read: a password, credentials."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def local_repository(self, name: str = "backups") -> str:
        (self.folder / name).mkdir()
        url = f"file://{self.folder / name}"
        self.run("init", url)
        return url


def command_line(folder: Path) -> CommandLine:
    made = CommandLine(folder)
    made.run("keygen", "--working", "working.key", "--recovery", "recovery.key")
    return made


def s3_url(endpoint: S3Endpoint, prefix: str = "backups") -> str:
    return f"s3://{endpoint.bucket}/{prefix}?endpoint={endpoint.url}&region=us-east-1"


def s3_credentials(endpoint: S3Endpoint) -> str:
    return f"access_key_id={endpoint.access_key}\nsecret_access_key={endpoint.secret_key}\n"
