"""S3: what is asked of the store, and what it is told when it answers oddly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    ObjectNotFound,
    StorageError,
    UploadLost,
)
from covetbackup.core.storage import s3_upload
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3 import S3Storage
from covetbackup.core.storage.s3_settings import (
    Addressing,
    S3Credentials,
    S3Settings,
    ServerSideEncryption,
)
from tests.support.s3 import S3Endpoint

PART = 8 * 1024 * 1024


def storage_at(endpoint: S3Endpoint, **settings: object) -> S3Storage:
    defaults: dict[str, object] = {
        "bucket": endpoint.bucket,
        "endpoint_url": endpoint.url,
        "credentials": S3Credentials(endpoint.access_key, endpoint.secret_key),
    }
    impatient = Retry(attempts=2, pause=lambda stop, seconds: None)
    return S3Storage(S3Settings(**{**defaults, **settings}), impatient)  # type: ignore[arg-type]


def put(storage: Storage, name: str, data: bytes) -> None:
    sink = storage.create(name)
    sink.write(data)
    sink.commit()


@pytest.mark.parametrize("size", [1, PART + 1], ids=["one request", "in parts"])
def test_storage_class_and_kms_key_reach_the_object(moto_s3: S3Endpoint, size: int) -> None:
    storage = storage_at(
        moto_s3,
        storage_class="STANDARD_IA",
        encryption=ServerSideEncryption.KMS,
        kms_key_id="alias/backups",
    )
    put(storage, MARKER, bytes(size))
    head = moto_s3.client.head_object(Bucket=moto_s3.bucket, Key=MARKER)
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "alias/backups"


@pytest.mark.parametrize("size", [1, PART + 1], ids=["one request", "in parts"])
def test_sse_s3_reaches_the_object(moto_s3: S3Endpoint, size: int) -> None:
    put(storage_at(moto_s3, encryption=ServerSideEncryption.S3), MARKER, bytes(size))
    head = moto_s3.client.head_object(Bucket=moto_s3.bucket, Key=MARKER)
    assert head["ServerSideEncryption"] == "AES256"


def test_objects_lie_under_the_prefix_and_nothing_else_is_listed(rclone_s3: S3Endpoint) -> None:
    storage = storage_at(rclone_s3, prefix="team/a")
    put(storage, MARKER, b"{}")
    for key in ("team/ab/x", "team/a/.hidden", "other"):
        rclone_s3.client.put_object(Bucket=rclone_s3.bucket, Key=key, Body=b"x")
    put(storage, "b/object", b"x")
    assert "team/a/b/object" in rclone_s3.keys()
    assert [info.name for info in storage.list()] == ["b/object", MARKER]


def test_a_listing_longer_than_a_page_of_1000_is_complete(rclone_s3: S3Endpoint) -> None:
    def upload(number: int) -> None:
        key = f"many/{number:04}"
        rclone_s3.client.put_object(Bucket=rclone_s3.bucket, Key=key, Body=b"")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(1003)))
    listed = [info.name for info in storage_at(rclone_s3).list("many/")]
    assert listed == [f"many/{number:04}" for number in range(1003)]


def test_sweep_leaves_uploads_of_other_prefixes_alone(rclone_s3: S3Endpoint) -> None:
    client, bucket = rclone_s3.client, rclone_s3.bucket
    client.create_multipart_upload(Bucket=bucket, Key="team/ab/theirs")
    client.create_multipart_upload(Bucket=bucket, Key="team/a/ours")
    from_now_on = client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["Initiated"]
    storage = storage_at(rclone_s3, prefix="team/a")
    assert storage.cleanup(from_now_on.replace(year=from_now_on.year + 1)) == ["ours"]
    assert rclone_s3.unfinished_uploads() == ["team/ab/theirs"]


def test_an_upload_the_store_expired_is_lost(rclone_s3: S3Endpoint) -> None:
    sink = storage_at(rclone_s3).create(MARKER)
    sink.write(bytes(PART + 1))
    client, bucket = rclone_s3.client, rclone_s3.bucket
    [upload] = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    client.abort_multipart_upload(Bucket=bucket, Key=MARKER, UploadId=upload["UploadId"])
    with pytest.raises(UploadLost, match="dropped the upload"):
        sink.commit()
    sink.abort()
    assert rclone_s3.keys() == []


def test_an_object_of_too_many_parts_is_refused_clearly(
    moto_s3: S3Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "PARTS_LIMIT", 2)
    sink = storage_at(moto_s3).create(MARKER)
    sink.write(bytes(2 * PART))
    with pytest.raises(StorageError, match="longer than 2 parts") as caught:
        sink.write(bytes(PART + 1))
    assert "volumes" in caught.value.hint
    sink.abort()
    assert moto_s3.unfinished_uploads() == []


@pytest.mark.parametrize(
    "credentials",
    [S3Credentials("covetaccesskey", "wrong secret"), S3Credentials("unknownkey", "any secret")],
    ids=["wrong secret", "unknown key"],
)
def test_wrong_credentials_are_named_not_shown(
    rclone_s3: S3Endpoint, credentials: S3Credentials
) -> None:
    storage = storage_at(rclone_s3, credentials=credentials)
    with pytest.raises(AccessRefused, match="credentials") as caught:
        list(storage.list())
    assert "secret" not in str(caught.value) + caught.value.hint
    with pytest.raises(AccessRefused, match="credentials"):
        storage.stat(MARKER)


def test_a_missing_bucket_is_named(rclone_s3: S3Endpoint) -> None:
    storage = storage_at(rclone_s3, bucket="no-such-bucket")
    with pytest.raises(StorageError, match="no-such-bucket .* does not exist"):
        list(storage.list())
    with pytest.raises(StorageError):
        put(storage, MARKER, b"{}")


def test_without_any_credentials_that_is_said(
    rclone_s3: S3Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_aws_files(monkeypatch, tmp_path / "missing")
    with pytest.raises(AccessRefused, match="no usable credentials"):
        storage_at(rclone_s3, credentials=None).stat(MARKER)


def test_default_credentials_are_looked_up_again_when_refused(
    rclone_s3: S3Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    use_aws_files(monkeypatch, file)
    write_aws_file(file, "covetaccesskey", "expired")
    storage = storage_at(rclone_s3, credentials=None)
    with pytest.raises(AccessRefused, match="credentials"):
        storage.stat(MARKER)
    write_aws_file(file, rclone_s3.access_key, rclone_s3.secret_key)
    with pytest.raises(ObjectNotFound):
        storage.stat(MARKER)


def use_aws_files(monkeypatch: pytest.MonkeyPatch, credentials: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(credentials.with_name("config")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def write_aws_file(file: Path, key: str, secret: str) -> None:
    file.write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n")


def test_secrets_are_in_no_repr() -> None:
    credentials = S3Credentials("key", "hush-secret", "hush-token")
    assert "hush" not in repr(S3Settings("bucket", credentials=credentials)) + repr(credentials)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": "a/b"},
        {"bucket": ""},
        {"bucket": "b", "prefix": "../x"},
        {"bucket": "b", "prefix": "x" * 121},
        {"bucket": "b" * 3, "endpoint_url": "ftp://host"},
        {"bucket": "b" * 3, "endpoint_url": "https://"},
        {"bucket": "b" * 3, "endpoint_url": "https://user:hush@host"},
        {"bucket": "b" * 3, "endpoint_url": "https://host/path"},
        {"bucket": "b" * 3, "kms_key_id": "key"},
    ],
)
def test_wrong_settings_are_refused_before_any_request(wrong: dict[str, str]) -> None:
    with pytest.raises(BadSetting) as caught:
        S3Settings(**wrong)  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)


def test_addressing_is_by_path_on_private_stores_unless_told(moto_s3: S3Endpoint) -> None:
    put(storage_at(moto_s3, addressing=Addressing.AUTO), MARKER, b"{}")
    assert moto_s3.keys() == [MARKER]
