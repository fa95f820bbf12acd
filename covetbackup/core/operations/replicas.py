"""The replicas of one backup that is being taken: one folder in each repository."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from threading import Lock

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import BadSetting, CovetError, IntegrityError, ObjectNotFound
from covetbackup.core.repository import manifest_json
from covetbackup.core.repository.keys_store import publish_key_records, write_keys
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.fanout import FanOut

logger = logging.getLogger(__name__)


class ReplicaSet:
    """The repositories that still get the backup; one that fails drops out with its reason.

    Several threads may create objects at once: `_alive` is replaced, never changed.
    """

    def __init__(self, repositories: Sequence[BackupRepository], label: Label) -> None:
        """Raises `BadSetting` for no repository, and for one that is given twice."""
        _check_distinct(repositories)
        self._alive = {repository.name: repository for repository in repositories}
        self._all = dict(self._alive)
        self._label = label
        self._lock = Lock()
        self.failures: dict[str, CovetError] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the repositories that have not failed."""
        return tuple(self._alive)

    def predecessor(self) -> tuple[int, str]:
        """Return the sequence number of this backup and the SHA-256 of the manifest before it.

        The latter is "" for the first backup of a source.
        """
        for name, repository in self._alive.items():
            try:
                return _predecessor(repository, self._label.slug)
            except CovetError as error:
                self._drop(name, error)
        raise next(iter(self.failures.values()))

    def create(self, name: str) -> FanOut:
        """Return a sink for the object `name` in every replica that is left.

        Raises the first failure if none is.
        """
        sinks = {}
        with ExitStack() as begun:  # ended only when this is cancelled half-way
            for replica, repository in self._alive.items():
                try:
                    sinks[replica] = repository.create(self._label, name)
                except CovetError as error:
                    self._drop(replica, error)
                else:
                    begun.callback(sinks[replica].abort)
            begun.pop_all()
        if not sinks:  # another thread has lost the last replica
            raise next(iter(self.failures.values()))
        return FanOut(sinks)

    def drop_failed(self, sink: FanOut) -> None:
        """Drop the replicas that did not take what was pumped into `sink`."""
        for name, error in sink.failures.items():
            self._drop(name, error)

    def publish(self, keys: bytes | None, manifest: bytes, *, keyring: Keyring) -> None:
        """Write keys, their mirror, then the manifest, in each replica.

        Raises the first failure if no replica could be published.
        """
        for name, repository in self._alive.items():
            try:
                if keys is not None:
                    publish_key_records(repository.storage, keyring)
                    write_keys(repository.storage, self._label, 1, keys)
                repository.commit(self._label, manifest)
            except CovetError as error:
                self._drop(name, error)

    @contextmanager
    def discard_unless_published(self) -> Iterator[None]:
        """Remove every trace from the replicas that failed, in the end.

        From all of them when leaving by an exception.
        """
        try:
            yield
        except BaseException:
            self._discard(self._all)
            raise
        self._discard(self.failures)

    def _drop(self, name: str, error: CovetError) -> None:
        # Not cleaned here: a storage that hangs must not hold up the replicas that go on.
        with self._lock:
            self.failures.setdefault(name, error)
            self._alive = {each: alive for each, alive in self._alive.items() if each != name}
            if not self._alive:
                raise error

    def _discard(self, names: Iterable[str]) -> None:
        for name in names:
            # What made a replica fail may forbid cleaning it too; `cleanup` gets what is left.
            try:
                self._all[name].remove(self._label)
            except CovetError as error:
                logger.warning("%s has parts of a failed backup until a cleanup: %s", name, error)


def _check_distinct(repositories: Sequence[BackupRepository]) -> None:
    """Raise `BadSetting` for one repository under two names.

    The second replica would fail, and cleaning up after it would remove the first.
    """
    if not repositories:
        raise BadSetting("a backup needs a repository")
    by_id: dict[str, str] = {}
    for repository in repositories:
        if repository.id in by_id:
            raise BadSetting(
                f"{by_id[repository.id]} and {repository.name} are the same repository",
                "name each place once; was one made by copying the other's files?",
            )
        by_id[repository.id] = repository.name


def _predecessor(repository: BackupRepository, slug: str) -> tuple[int, str]:
    """Return sequence number and digest for the next backup of `slug`.

    A manifest that cannot be read any more is skipped but counted: an old backup's damage must not
    prevent new ones.
    """
    skipped = 0
    for same_second in _newest_first(repository.labels(slug)):
        readable: list[tuple[int, str]] = []
        for label in same_second:
            try:
                data = repository.manifest_bytes(label)
                sequence = manifest_json.decode(data, label).sequence
                readable.append((sequence, hashlib.sha256(data).hexdigest()))
            except (IntegrityError, ObjectNotFound):
                skipped += 1
        if readable:
            sequence, digest = max(readable)
            return sequence + skipped + 1, digest
    return skipped + 1, ""


def _newest_first(labels: Iterable[Label]) -> Iterator[list[Label]]:
    """Yield the labels of each second, the latest first: within one their order says nothing."""
    for _, group in groupby(reversed(list(labels)), key=lambda label: label.started_at):
        yield list(group)
