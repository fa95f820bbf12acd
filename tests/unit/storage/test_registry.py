"""Storage URLs and credential files."""

from __future__ import annotations

from pathlib import Path

import pytest

from covetbackup.core.errors import BadSetting
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.storage.registry import open_storage, s3_credentials_from_file
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.s3_settings import S3Credentials


def test_a_file_url_opens_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    storage = open_storage(f"file://{tmp_path}/a%20b")
    assert isinstance(storage, LocalStorage)
    storage.create("covet.json").commit()
    assert (tmp_path / "a b" / "covet.json").exists()


def test_an_s3_url_with_every_option_opens_a_bucket() -> None:
    url = (
        "s3://bucket/team/a?endpoint=http://127.0.0.1:9000&region=eu-central-1"
        "&storage_class=STANDARD_IA&sse=aws:kms&sse_key=alias/x&path_style=1"
    )
    assert isinstance(open_storage(url, S3Credentials("key", "secret")), ResilientStorage)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/path", "file:///path or s3://bucket/prefix"),
        ("/just/a/path", "file:///path"),
        ("file://host/path", "three slashes"),
        ("file:relative", "three slashes"),
        ("file:///path?x=1", "no options"),
        ("file:///path%00x", "zero byte"),
        ("file:///path#x", "fragment"),
        ("s3:///prefix", "bucket name"),
        ("s3://bucket/../other", "prefix"),
        ("s3://bucket?endpont=http://x", "endpoint, path_style, region"),
        ("s3://bucket?region=a&region=b", "given twice"),
        ("s3://bucket?sse=rot13", "AES256, aws:kms"),
        ("s3://bucket?path_style=yes", "0, 1"),
        ("s3://bucket?sse_key=x", "not aws:kms"),
        ("s3://[::1", "cannot be read"),
    ],
)
def test_a_wrong_url_is_refused_with_the_way_out(url: str, words: str) -> None:
    with pytest.raises(BadSetting) as caught:
        open_storage(url)
    assert words in f"{caught.value} ({caught.value.hint})"


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hush@bucket/x",
        "s3://bucket?endpoint=http://key:hush@host",
        "s3://bucket?secret_access_key=hush",
        "file://user:hush@localhost/x",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSetting) as caught:
        open_storage(url)
    assert "hush" not in f"{caught.value} {caught.value.hint}"


def credentials_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "credentials"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_credentials_come_from_a_private_file(tmp_path: Path) -> None:
    text = "# backup user\n[default]\naccess_key_id = key\n\nsecret_access_key=a=b+c/d\n"
    found = s3_credentials_from_file(credentials_file(tmp_path, text))
    assert found == S3Credentials("key", "a=b+c/d")
    text = "access_key_id=key\nsecret_access_key=s\nsession_token=t\n"
    found = s3_credentials_from_file(credentials_file(tmp_path, text))
    assert found == S3Credentials("key", "s", "t")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_credentials_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = credentials_file(tmp_path, "access_key_id=k\nsecret_access_key=hush\n", mode)
    with pytest.raises(BadSetting) as caught:
        s3_credentials_from_file(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "access_key_id=k\n",
        "access_key_id=k\nsecret_access_key=\n",
        "access_key_id=k\nsecret_access_key=hush\nhush\n",
        "access_key_id=k\nsecret_access_key=hush\nsecret_access_key=hush2\n",
        "access_key_id=k\nsecret_key=hush\n",
        "access_key_id=k\nsecret_access_key=hush\udcff\n",
    ],
)
def test_a_wrong_credentials_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = credentials_file(tmp_path, "")
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadSetting) as caught:
        s3_credentials_from_file(path)
    assert "hush" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_missing_credentials_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="no such file"):
        s3_credentials_from_file(tmp_path / "none")


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://foo_bar:9000", "http://ho%20st", "http://h\u00f6st", "http://a..b", "http://-a"),
        *("http://key:hush@host:port", "http://host:99999", "http://[::1", "http://:9000"),
    ],
)
def test_an_endpoint_that_is_no_address_is_refused_without_quoting_secrets(endpoint: str) -> None:
    with pytest.raises(BadSetting, match="endpoint") as caught:
        open_storage(f"s3://bucket/p?endpoint={endpoint}")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["http://[::1]:9000", "http://127.0.0.1:9000", "https://S3.Example.com", "http://minio.:80"],
)
def test_any_address_is_an_endpoint(endpoint: str) -> None:
    open_storage(f"s3://bucket/p?endpoint={endpoint}")
