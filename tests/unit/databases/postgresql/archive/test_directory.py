"""An archive written as a directory, as it comes and however it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.archive import directory
from covetbackup.core.databases.postgresql.archive.directory import export_directory
from covetbackup.core.errors import Incomplete
from tests.support.paths import ROOT

SAMPLE = ROOT / "tests/vectors" / "archives" / "postgresql-15.pgc"


def _exported(folder: Path, chunk: int) -> dict[str, bytes]:
    folder.mkdir()
    archive = SAMPLE.read_bytes()
    export_directory((archive[at : at + chunk] for at in range(0, len(archive), chunk)), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_does_not_matter_how_the_archive_is_cut(tmp_path: Path) -> None:
    whole = _exported(tmp_path / "whole", 1 << 20)
    assert len(whole) > 3
    for chunk in (97, 1000, 5000):
        assert _exported(tmp_path / str(chunk), chunk) == whole


def test_the_contents_are_not_read_anew_for_every_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, sizes = directory.read_contents, []

    def counted(head: bytes) -> object:
        sizes.append(len(head))
        return reading(head)

    monkeypatch.setattr(directory, "read_contents", counted)
    _exported(tmp_path / "out", 10)
    assert sum(sizes[:-1]) <= 2 * sizes[-1]


def test_the_contents_are_written_when_the_data_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, synced = tmp_path / "out", []

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.name, (folder / "toc.dat").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    files = _exported(folder, 1 << 20)
    before = {name for name, with_contents in synced if not with_contents}
    assert before == files.keys() - {"toc.dat"}
    assert synced[-2:] == [("toc.dat", True), ("out", True)]


@pytest.mark.parametrize("kept", [100, 0.9])
def test_a_cut_archive_has_no_contents(tmp_path: Path, kept: float) -> None:
    archive = SAMPLE.read_bytes()
    end = int(kept * len(archive)) if kept < 1 else int(kept)
    with pytest.raises(Incomplete):
        export_directory(iter([archive[:end]]), tmp_path)
    assert not (tmp_path / "toc.dat").exists()
