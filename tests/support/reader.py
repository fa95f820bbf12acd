"""The stand-alone reader, run as what it is: one file, somewhere else, without the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covetbackup.core import covet_open

# Starting Python and loading the ciphers takes longer than most readings: do it once, then fork.
_RUNNER = """
import importlib.util, json, os, sys
sys.modules["covetbackup"] = None
sys.modules.update(dict.fromkeys(json.loads(sys.argv[2])))
spec = importlib.util.spec_from_file_location("covet_open", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    arguments, out, err = json.loads(line)
    child = os.fork()
    if not child:
        for name, descriptor in ((out, 1), (err, 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv[1:] = arguments
        try:
            status = module.main()
            sys.stdout.flush()
        except BaseException:
            status = 99
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one run ended: exit status, standard output, standard error."""

    status: int
    output: bytes
    said: str


class Reader:
    """A copy of covet_open.py in `folder`. `without` are modules it shall not find."""

    def __init__(self, folder: Path, *, without: Sequence[str] = ()) -> None:
        self.program = Path(shutil.copy(covet_open.__file__, folder))
        self._folder = folder
        arguments = [str(self.program), json.dumps(list(without))]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _RUNNER, *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> Reading:
        assert self._process.stdin and self._process.stdout
        out, err = self._folder / "out", self._folder / "err"
        order = [[str(argument) for argument in arguments], str(out), str(err)]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Reading(status, out.read_bytes(), err.read_text())

    def close(self) -> None:
        self._process.communicate()
