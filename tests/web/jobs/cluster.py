"""A catalog outside of this process, a shell for it, and real workers that serve it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from covetbackup.jobs.worker import kernel
from tests.support.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parents[3]
IN_THE_FOLDER = {"DATABASE_URL": ""}
"""The environment of a SQLite catalog in the cluster's folder."""


def catalog_on(server: PostgresServer, name: str) -> dict[str, str]:
    """Return the environment of a catalog in the database `name` of `server`.

    The password is in a file: other tests look for it in the environment of every process."""
    url = f"postgresql://postgres@127.0.0.1:{server.port}/{name}?sslmode=disable"
    return {"DATABASE_URL": url, "DATABASE_PASSWORD_FILE": str(server.directory / "password")}


class Cluster:
    """`environment` names the catalog; everything started here is gone after `close`."""

    def __init__(
        self,
        folder: Path,
        catalog: Mapping[str, str] = IN_THE_FOLDER,
        *,
        broker_url: str = "",
        secret_key: str = "a key for tests, " * 4,
        shell: str = "remote_shell",
        settings: str = "settings",
    ) -> None:
        self.folder = folder
        (folder / "secret-key").write_text(secret_key)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVET_", "Q_CLUSTER"))}
        self.environment = kept | {
            "COVET_VAR": str(folder),
            **catalog,
            "COVET_BROKER_URL": broker_url,
            "DJANGO_SETTINGS_MODULE": f"tests.web.jobs.{settings}",
        }
        self._started: list[subprocess.Popen[bytes]] = []
        self._shell = subprocess.Popen(
            [sys.executable, "-m", f"tests.web.jobs.{shell}"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask("prepare")

    @property
    def log(self) -> Path:
        """Where the kinds of work write that they start and end."""
        return self.folder / "log"

    def ask(self, what: str, *arguments: Any, **options: Any) -> Any:
        assert self._shell.stdin is not None and self._shell.stdout is not None
        self._shell.stdin.write(json.dumps([what, arguments, options]) + "\n")
        self._shell.stdin.flush()
        answer = self._shell.stdout.readline()
        assert answer, "the shell has ended"
        return json.loads(answer)

    def enqueue(self, kind: str, *, argument: dict[str, Any] | None = None, **options: Any) -> int:
        return int(self.ask("enqueue", kind, argument or {}, **options))

    def job(self, job_id: int) -> dict[str, Any]:
        found = self.ask("job", job_id)
        assert isinstance(found, dict)
        return found

    def worker(self, *, prefix: Sequence[str] = (), **environment: str) -> subprocess.Popen[bytes]:
        """A real one, its command after `prefix`; returns once it is registered."""
        known = len(self.ask("nodes"))
        named = {"Q_CLUSTER_NAME": "jobs", **environment}
        started = self.start("worker", prefix=prefix, **named)
        wait_until(lambda: len(self.ask("nodes")) > known, 30)
        return started

    def start(
        self, *command: str, prefix: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """`covetbackup command`, its messages in the folder."""
        with open(self.folder / "messages", "ab") as messages:
            process = subprocess.Popen(
                [*prefix, sys.executable, str(ROOT / "manage.py"), *command],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=messages,
                stderr=messages,
                start_new_session=True,
                preexec_fn=_end_with_the_tests,
            )
        self._started.append(process)
        return process

    def wait_for(self, job_id: int, *states: str, seconds: float = 30) -> dict[str, Any]:
        """The job, once it is in one of the states."""
        try:
            wait_until(lambda: self.job(job_id)["state"] in states, seconds)
        except AssertionError:
            raise AssertionError(self.job(job_id) | {"messages": self.messages()}) from None
        return self.job(job_id)

    def messages(self) -> str:
        return (self.folder / "messages").read_text()[-8000:]

    def lines(self, what: str, job_id: int | None = None) -> list[list[str]]:
        """The log's lines that say `what`, split."""
        if not self.log.exists():
            return []
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [line for line in lines if line[2] == what and job_id in (None, int(line[1]))]

    def runner_of(self, job_id: int) -> int:
        """The process that runs the job's newest attempt."""
        wait_until(lambda: bool(self.lines("start", job_id)), 20)
        return int(self.lines("start", job_id)[-1][4])

    def reset(self) -> None:
        """End all that was started and empty the catalog."""
        for process in self._started:
            everybody = _family(process)
            for one in everybody:
                _quietly(one.kill)
            process.wait()
            psutil.wait_procs(everybody, 10)
        self._started.clear()
        for name in ("log", "messages"):
            (self.folder / name).unlink(missing_ok=True)
        self.ask("clear")

    def close(self) -> None:
        self.reset()
        self._shell.communicate(timeout=10)


def stop(process: subprocess.Popen[bytes], *, seconds: float) -> float:
    """SIGTERM; the seconds it took. More than `seconds`, or a bad end, is an error."""
    began = time.monotonic()
    process.terminate()
    assert process.wait(seconds) == 0
    return time.monotonic() - began


def descendants(process: subprocess.Popen[bytes] | int) -> list[psutil.Process]:
    pid = process if isinstance(process, int) else process.pid
    return psutil.Process(pid).children(recursive=True)


def workers_of(worker: subprocess.Popen[bytes], name: str) -> list[int]:
    """q2's worker processes that call themselves `covet-idle` or `covet-busy`."""
    found = []
    for process in descendants(worker):
        comm = Path(f"/proc/{process.pid}/comm")
        if comm.exists() and comm.read_text().strip() == name:
            found.append(process.pid)
    return found


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def is_gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(is_so: Callable[[], bool], seconds: float) -> float:
    """The seconds until it was so."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"not so after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


def _end_with_the_tests() -> None:
    kernel.get_signal_when_parent_dies(signal.SIGTERM)


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        pass
