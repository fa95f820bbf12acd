"""What is measured of ours, each in a process of its own: order on stdin, figures on stdout."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from covetbackup.core.crypto.chunks import FinalFlag, decrypt, encrypt
from covetbackup.core.crypto.dek import new_dek
from covetbackup.core.crypto.header import StreamId
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import Member
from covetbackup.core.databases.registry import open_address
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.manager import BackupManager, RestoreManager, default_workers, open_repository
from covetbackup.core.operations.replicas import ReplicaSet
from covetbackup.core.operations.store import MemberStore, StoragePlan
from covetbackup.core.progress import Silent
from covetbackup.core.repository.layout import new_label
from covetbackup.core.repository.volumes import VOLUME_SIZE
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.codec import CodecSpec, compress
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.process import CommandSource
from covetbackup.core.stream.pump import drain, filtered
from covetbackup.core.stream.secret import Secret

_BACKUP_ID = bytes(16)
_PIECE_BYTES = 1 << 20


def store_stream(*, source: str, repository: str, codec: str, suite: str) -> dict[str, Any]:
    """What the engine does with a member: hash, compress, seal, hash, write, sync, rename."""
    label = new_label("stream", datetime.now(UTC), _BACKUP_ID)
    plan = StoragePlan(
        label, CodecSpec.parse(codec), Suite(suite), new_dek(), VOLUME_SIZE, default_workers()
    )
    store = MemberStore(plan, ReplicaSet([open_repository(repository)], label))
    member, plain = store.store(0, Member("stream", CommandSource(["cat", source])), Silent())
    return {"ratio": plain.size / member.stored_size}


def there_and_back(*, source: str, target: str, codec: str, suite: str) -> dict[str, Any]:
    """Codec and cipher alone, into a file and back; suite "" seals nothing."""
    spec, frames, dek = CodecSpec.parse(codec), FrameIndex(), new_dek()
    identity = StreamId(_BACKUP_ID, 1)
    to_stored: list[Filter] = [compress(spec, workers=default_workers(), frames=frames)]
    to_plain: list[Filter] = [
        decompress(
            spec.codec,
            frames=frames if len(frames) or spec.suffix else None,
            workers=default_workers(),
        )
    ]
    if suite:
        to_stored.append(encrypt(dek, identity, suite=Suite(suite), last=lambda: FinalFlag.END))
        to_plain.insert(0, decrypt(dek, identity, expect=FinalFlag.END))
    began = time.perf_counter()
    with filtered(_file(source), to_stored) as chunks, open(target, "wb") as file:
        file.writelines(chunks)
    stored = time.perf_counter()
    drain(_file(target), to_plain)
    return {
        "in_seconds": stored - began,
        "out_seconds": time.perf_counter() - stored,
        "ratio": Path(source).stat().st_size / Path(target).stat().st_size,
    }


def back_up(*, source: str, password: str, repository: str, key_file: str) -> dict[str, Any]:
    """A whole backup through the Python API; zstd:3 and AES-256-GCM are its defaults."""
    manager = BackupManager(open_repository(repository), Keyring.load([Path(key_file)]))
    manifest = manager.create_backup(source, password=Secret(password)).manifest
    return {
        "label": str(manifest.label),
        "ratio": manifest.opened.plain_size / manifest.stored_size,
        "plain_bytes": manifest.opened.plain_size,
        "settings": manifest.opened.inventory.settings or {},
    }


def restore(
    *,
    target: str,
    password: str,
    repository: str,
    key_file: str,
    label: str,
    jobs: int = 2,
    table: str = "",
) -> dict[str, Any]:
    manager = RestoreManager(open_repository(repository), Keyring.load([Path(key_file)]))
    selection = Selection((table,)) if table else None
    request = RestoreRequest(jobs=jobs, selection=selection)
    manager.restore_backup(label, target, request, password=Secret(password))
    return {}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    job.__name__: job for job in (store_stream, there_and_back, back_up, restore)
}


@contextmanager
def _file(path: str) -> Iterator[Iterator[bytes]]:
    with open(path, "rb", buffering=0) as file:
        yield iter(lambda: file.read(_PIECE_BYTES), b"")


def _load_engine(address: str) -> None:
    """A worker has loaded it before its first job: that is a tenth of a second."""
    if "://" in address:
        open_address(address)


def main() -> None:
    order = json.load(sys.stdin)
    job, settings = JOBS[order["job"]], order["settings"]
    _load_engine(settings.get("target") or settings["source"])
    # The peak counter survives exec, where a big parent may have left its own; 5 resets it.
    Path("/proc/self/clear_refs").write_text("5")
    before = os.times()
    facts = job(**settings)
    after = os.times()
    run = {
        "seconds": after.elapsed - before.elapsed,
        "cpu_seconds": sum(after[:4]) - sum(before[:4]),
        "peak_mib": _peak_mib(),
        "facts": facts,
    }
    json.dump(run, sys.stdout)


def _peak_mib() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
