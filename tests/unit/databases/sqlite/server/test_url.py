"""SQLite URLs, and on which file systems a database may be read in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from covetbackup.core.databases.sqlite.server.source import refuse_network
from covetbackup.core.databases.sqlite.server.url import parse_url, to_url
from covetbackup.core.errors import BadSetting


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/app.db", "/var/lib/app.db"),
        ("sqlite:////a%20b/%3Fq%23.db", "/a b/?q#.db"),
        ("sqlite:////a%25.db", "/a%.db"),
        ("sqlite:////-rf", "/-rf"),
        ("sqlite:////%F0%9F%90%98", "/🐘"),
        ("sqlite:////🐘", "/🐘"),
        ("sqlite:////%E9", os.fsdecode(b"/\xe9")),
    ],
)
def test_a_url_names_the_path_byte_by_byte(url: str, path: str) -> None:
    assert parse_url(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "", "/var/lib/app.db", "sqlite:app.db", "sqlite://host/app.db", "sqlite:///relative.db",
        "sqlite:////", "sqlite:////dir/", "sqlite:////a?mode=ro", "sqlite:////a#b",
        "sqlite:////a%00b", "SQLITE:////a", "postgresql:////a",
    ],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(BadSetting):
        parse_url(url)


@given(st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & {0, 47}))
def test_every_file_name_survives_a_url(name: bytes) -> None:
    path = Path(os.fsdecode(b"/d/" + name))
    assert parse_url(to_url(path)) == path


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /srv rw - nfs4 host:/srv rw
31 30 254:1 / /srv/local rw shared:2 - xfs /dev/vdb rw
32 22 0:32 / /mnt/with\040space rw - cifs //host/share rw
33 22 0:33 / /home/me/far rw - fuse.sshfs me@host: rw
34 22 0:34 / /twice rw - nfs host:/a rw
35 34 0:35 / /twice rw - tmpfs tmpfs rw
""".strip()


@pytest.mark.parametrize(
    "path", ["/srv/a.db", "/mnt/with space/a.db", "/home/me/far/deep/a.db", "/srv/localish/a.db"]
)
def test_a_network_file_system_is_refused_and_named(path: str) -> None:
    with pytest.raises(BadSetting, match="network file system") as caught:
        refuse_network(Path(path), MOUNTS)
    assert "on the host that has the disk" in caught.value.hint


@pytest.mark.parametrize(
    "path", ["/a.db", "/srv/local/a.db", "/mnt/with/a.db", "/twice/a.db", "/srvx/a.db"]
)
def test_a_local_file_system_is_fine(path: str) -> None:
    refuse_network(Path(path), MOUNTS)
