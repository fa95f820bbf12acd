"""S3 behind a spoiling proxy: every answer that may be lost, cut, late or wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from covetbackup.core.errors import (
    AccessRefused,
    ObjectExists,
    StorageError,
    StorageUnavailable,
    UploadLost,
)
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3 import S3Storage
from covetbackup.core.storage.s3_settings import S3Credentials, S3Settings
from covetbackup.core.stream.base import Sink
from tests.support.s3 import S3Endpoint
from tests.support.s3_faults import (
    Action,
    Proxy,
    cut_after,
    drop,
    error,
    error_after,
    faulty,
    lose_answer,
    stall_after,
    with_headers,
)

PART = 8 * 1024 * 1024
DATA = os.urandom(PART) + b"the second part"
EXPIRED = error(400, "ExpiredToken")


@pytest.fixture
def rclone_proxy(rclone_s3: S3Endpoint) -> Iterator[Proxy]:
    with faulty(rclone_s3.url) as proxy:
        yield proxy


@pytest.fixture
def moto_proxy(moto_s3: S3Endpoint) -> Iterator[Proxy]:
    with faulty(moto_s3.url) as proxy:
        yield proxy


def storage_at(
    endpoint: S3Endpoint, proxy: Proxy, *, stall_seconds: float = 30, credentials: bool = True
) -> S3Storage:
    keys = S3Credentials(endpoint.access_key, endpoint.secret_key)
    settings = S3Settings(
        endpoint.bucket,
        endpoint_url=proxy.url,
        credentials=keys if credentials else None,
        stall_seconds=stall_seconds,
    )
    return S3Storage(settings, Retry(attempts=4, pause=lambda stop, seconds: None))


@pytest.fixture
def rclone(rclone_s3: S3Endpoint, rclone_proxy: Proxy) -> S3Storage:
    """rclone, through its proxy."""
    return storage_at(rclone_s3, rclone_proxy)


@pytest.fixture
def moto(moto_s3: S3Endpoint, moto_proxy: Proxy) -> S3Storage:
    """moto, through its proxy."""
    return storage_at(moto_s3, moto_proxy)


def filled(storage: Storage, data: bytes = DATA) -> Sink:
    sink = storage.create(MARKER)
    sink.write(data)
    return sink


def put(storage: Storage, data: bytes = DATA) -> None:
    filled(storage, data).commit()


def get(storage: Storage) -> bytes:
    with storage.open(MARKER) as chunks:
        return b"".join(chunks)


PASSING = {
    "500": error(500, "InternalError"),
    "503": error(503, "SlowDown"),
    "no xml": error(502, "<<<"),
    "reset": drop,
    "stored but answer lost": lose_answer,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_only_the_part_that_failed_is_sent_again(
    rclone: S3Storage, rclone_proxy: Proxy, fault: Action
) -> None:
    rclone_proxy.spoil("PUT", "partNumber=1", fault, times=2)
    put(rclone)
    assert get(rclone) == DATA
    assert rclone_proxy.count("PUT", "partNumber=1") == 3
    assert rclone_proxy.count("PUT", "partNumber=2") == 1


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_small_object_survives_the_same_faults(
    moto: S3Storage, moto_proxy: Proxy, fault: Action
) -> None:
    moto_proxy.spoil("PUT", MARKER, fault)
    put(moto, b"small")
    assert get(moto) == b"small"


@pytest.mark.parametrize("containing", ["?uploads", "uploadId="])
def test_the_begin_and_the_end_of_an_upload_are_tried_again(
    rclone: S3Storage, rclone_proxy: Proxy, containing: str
) -> None:
    rclone_proxy.spoil("POST", containing, error(503, "SlowDown"), times=2)
    put(rclone)
    assert get(rclone) == DATA


@pytest.mark.parametrize("store", ["rclone", "moto"])
def test_an_upload_begun_twice_because_an_answer_was_lost_leaves_no_twin(
    request: pytest.FixtureRequest, store: str
) -> None:
    endpoint: S3Endpoint = request.getfixturevalue(f"{store}_s3")
    proxy: Proxy = request.getfixturevalue(f"{store}_proxy")
    neighbour = f"{MARKER}-2"
    endpoint.client.create_multipart_upload(Bucket=endpoint.bucket, Key=neighbour)
    proxy.spoil("POST", "?uploads", lose_answer)
    sink = filled(request.getfixturevalue(store))
    assert sorted(endpoint.unfinished_uploads()) == [MARKER, MARKER, neighbour]
    sink.commit()
    assert get(request.getfixturevalue(store)) == DATA
    assert endpoint.unfinished_uploads() == [neighbour]


def test_a_part_that_never_succeeds_fails_the_upload_and_leaves_nothing(
    rclone: S3Storage, rclone_proxy: Proxy, rclone_s3: S3Endpoint
) -> None:
    rclone_proxy.spoil("PUT", "partNumber=1", error(503, "SlowDown"), times=100)
    sink = filled(rclone)
    with pytest.raises(StorageUnavailable, match="slow down"):
        sink.commit()
    sink.abort()
    assert rclone_proxy.count("PUT", "partNumber=1") == 4
    assert rclone_s3.unfinished_uploads() == []
    assert rclone_s3.keys() == []


def test_an_abort_the_network_swallows_is_left_to_sweep(
    rclone: S3Storage, rclone_proxy: Proxy, rclone_s3: S3Endpoint
) -> None:
    rclone_proxy.spoil("DELETE", "uploadId=", drop, times=3)
    filled(rclone).abort()
    assert rclone_s3.unfinished_uploads() == [MARKER]
    assert rclone.cleanup(datetime.now(UTC) + timedelta(hours=1)) == [MARKER]
    assert rclone_s3.unfinished_uploads() == []


@pytest.mark.parametrize("fault", [error(200, "InternalError"), lose_answer], ids=["200", "lost"])
def test_a_failed_complete_is_tried_again(
    moto: S3Storage, moto_proxy: Proxy, fault: Action
) -> None:
    moto_proxy.spoil("POST", "uploadId=", fault)
    put(moto)
    assert get(moto) == DATA


def test_a_200_with_an_error_inside_is_no_success(
    moto: S3Storage, moto_proxy: Proxy, moto_s3: S3Endpoint
) -> None:
    moto_proxy.spoil("POST", "uploadId=", error(200, "InternalError"), times=100)
    sink = filled(moto)
    with pytest.raises(StorageUnavailable):
        sink.commit()
    sink.abort()
    assert moto_s3.keys() == []
    assert moto_s3.unfinished_uploads() == []


@pytest.mark.parametrize("data", [b"small", DATA], ids=["one request", "in parts"])
@pytest.mark.parametrize("store", ["rclone", "moto"])
def test_our_own_object_is_recognised_when_the_answer_is_lost(
    request: pytest.FixtureRequest, store: str, data: bytes
) -> None:
    storage: S3Storage = request.getfixturevalue(store)
    proxy: Proxy = request.getfixturevalue(f"{store}_proxy")
    proxy.spoil("PUT", MARKER, lose_answer, lacking="partNumber")
    proxy.spoil("POST", "uploadId=", error_after(500, "InternalError"))
    put(storage, data)
    assert get(storage) == data


@pytest.mark.parametrize("data", [b"small", DATA], ids=["one request", "in parts"])
def test_what_was_published_without_our_knowing_is_undone(
    moto: S3Storage, moto_proxy: Proxy, moto_s3: S3Endpoint, data: bytes
) -> None:
    moto_proxy.spoil("PUT", MARKER, error_after(500, "x"), times=100, lacking="partNumber")
    moto_proxy.spoil("POST", "uploadId=", error_after(500, "x"), times=1)
    moto_proxy.spoil("POST", "uploadId=", error(500, "x"), times=100)
    sink = filled(moto, data)
    with pytest.raises(StorageUnavailable):
        sink.commit()
    sink.abort()
    assert moto_s3.keys() == []


def test_another_writer_between_our_look_and_our_commit_wins(
    moto: S3Storage, moto_proxy: Proxy, moto_s3: S3Endpoint
) -> None:
    def overtake(handler: object, forward: object) -> None:
        moto_s3.client.put_object(Bucket=moto_s3.bucket, Key=MARKER, Body=b"theirs")

    sink = filled(moto)
    moto_proxy.spoil("POST", "uploadId=", overtake)
    with pytest.raises(ObjectExists):
        sink.commit()
    sink.abort()
    assert get(moto) == b"theirs"
    assert moto_s3.unfinished_uploads() == []


def test_a_conflict_on_complete_means_the_upload_is_lost(
    rclone: S3Storage, rclone_proxy: Proxy, rclone_s3: S3Endpoint
) -> None:
    rclone_proxy.spoil("POST", "uploadId=", error(409, "ConditionalRequestConflict"))
    sink = filled(rclone)
    with pytest.raises(UploadLost):
        sink.commit()
    sink.abort()
    assert rclone_s3.unfinished_uploads() == []


def test_a_conflict_on_a_single_put_is_tried_again(rclone: S3Storage, rclone_proxy: Proxy) -> None:
    rclone_proxy.spoil("PUT", MARKER, error(409, "ConditionalRequestConflict"))
    put(rclone, b"small")
    assert get(rclone) == b"small"


WRONG_MD5 = with_headers(etag='"' + "0" * 32 + '"')
WRONG_SHA256 = with_headers(**{"x_amz_checksum_sha256": "AAAA"})


@pytest.mark.parametrize("fault", [WRONG_MD5, WRONG_SHA256], ids=["md5", "sha256"])
@pytest.mark.parametrize("data", [b"small", DATA], ids=["one request", "in parts"])
def test_wrong_checksums_are_tried_once_more(
    rclone: S3Storage, rclone_proxy: Proxy, fault: Action, data: bytes
) -> None:
    rclone_proxy.spoil("PUT", MARKER, fault)
    put(rclone, data)
    assert get(rclone) == data


@pytest.mark.parametrize("fault", [WRONG_MD5, WRONG_SHA256], ids=["md5", "sha256"])
@pytest.mark.parametrize("data", [b"small", DATA], ids=["one request", "in parts"])
def test_a_store_that_corrupts_data_is_named_and_nothing_kept(
    rclone: S3Storage, rclone_proxy: Proxy, rclone_s3: S3Endpoint, fault: Action, data: bytes
) -> None:
    rclone_proxy.spoil("PUT", MARKER, fault, times=100)
    sink = filled(rclone, data)
    with pytest.raises(StorageError, match="corrupts data"):
        sink.commit()
    sink.abort()
    assert rclone_s3.keys() == []
    assert rclone_s3.unfinished_uploads() == []


def test_a_wrong_size_after_the_commit_is_found(
    moto: S3Storage, moto_proxy: Proxy, moto_s3: S3Endpoint
) -> None:
    sink = filled(moto)
    moto_proxy.spoil("HEAD", MARKER, lambda handler, forward: forward())
    moto_proxy.spoil("HEAD", MARKER, with_headers(content_length="7"))
    with pytest.raises(StorageError, match="corrupts data"):
        sink.commit()
    sink.abort()
    assert moto_s3.keys() == []


READ_FAULTS = {
    "cut": cut_after(3_000_000),
    "reset": drop,
    "503": error(503, "SlowDown"),
}


@pytest.mark.parametrize("fault", READ_FAULTS.values(), ids=READ_FAULTS.keys())
def test_a_read_goes_on_where_it_was_cut(
    rclone: S3Storage, rclone_proxy: Proxy, fault: Action
) -> None:
    put(rclone)
    rclone_proxy.spoil("GET", MARKER, fault, times=2)
    assert get(rclone) == DATA
    assert rclone_proxy.count("GET", MARKER) == 3


def test_a_stalled_part_and_a_stalled_read_are_given_up_and_tried_again(
    rclone_s3: S3Endpoint, rclone_proxy: Proxy
) -> None:
    storage = storage_at(rclone_s3, rclone_proxy, stall_seconds=1)
    rclone_proxy.spoil("PUT", "partNumber=1", stall_after(0))
    rclone_proxy.spoil("GET", MARKER, stall_after(3_000_000))
    put(storage)
    assert get(storage) == DATA


def test_a_read_cut_again_and_again_still_arrives(rclone: S3Storage, rclone_proxy: Proxy) -> None:
    put(rclone)
    rclone_proxy.spoil("GET", MARKER, cut_after(600_000), times=30)
    assert get(rclone) == DATA
    ranges = [
        headers.get("Range") for method, _, headers in rclone_proxy.requests if method == "GET"
    ]
    assert len(ranges) > 10
    assert len(set(ranges)) == len(ranges)


@pytest.mark.parametrize("store", ["rclone", "moto"])
def test_halves_of_two_objects_are_never_joined(request: pytest.FixtureRequest, store: str) -> None:
    storage: S3Storage = request.getfixturevalue(store)
    endpoint: S3Endpoint = request.getfixturevalue(f"{store}_s3")
    proxy: Proxy = request.getfixturevalue(f"{store}_proxy")
    put(storage)
    proxy.spoil("GET", MARKER, cut_after(3_000_000))
    with pytest.raises(StorageError, match="replaced"), storage.open(MARKER) as chunks:
        next(chunks)
        endpoint.client.put_object(Bucket=endpoint.bucket, Key=MARKER, Body=DATA[::-1])
        list(chunks)


def test_credentials_that_expire_are_called_credentials(
    rclone: S3Storage, rclone_proxy: Proxy, rclone_s3: S3Endpoint
) -> None:
    rclone_proxy.spoil("PUT", "partNumber=2", EXPIRED, times=100)
    sink = filled(rclone)
    with pytest.raises(AccessRefused, match="credentials.*expired token"):
        sink.commit()
    sink.abort()
    assert rclone_proxy.count("PUT", "partNumber=2") == 1
    assert rclone_s3.unfinished_uploads() == []


def test_default_credentials_that_expire_are_renewed_once(
    rclone_s3: S3Endpoint, rclone_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", rclone_s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", rclone_s3.secret_key)
    storage = storage_at(rclone_s3, rclone_proxy, credentials=False)
    rclone_proxy.spoil("PUT", "partNumber=2", EXPIRED)
    put(storage)
    assert get(storage) == DATA
    assert rclone_proxy.count("PUT", "partNumber=2") == 2


@pytest.mark.parametrize(
    ("ahead", "words"), [(-1000, "1000 seconds ahead of"), (1000, "1000 seconds behind")]
)
def test_a_wrong_clock_is_named_with_its_seconds(
    rclone: S3Storage, rclone_proxy: Proxy, ahead: int, words: str
) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead, milliseconds=500))
    rclone_proxy.spoil("GET", "list-type=2", error(403, "RequestTimeTooSkewed", Date=theirs))
    with pytest.raises(AccessRefused) as caught:
        list(rclone.list())
    seconds = int(str(caught.value).split(" seconds")[0].rsplit(" ", 1)[1])
    assert abs(seconds - 1000) <= 2
    assert words.split(" ", 1)[1] in str(caught.value)
    assert "clock" in caught.value.hint


def test_a_store_without_conditions_or_checksums_still_serves(
    rclone: S3Storage, rclone_proxy: Proxy
) -> None:
    def refuse(handler: object, forward: object) -> object:
        headers = {name.lower() for name in handler.headers}  # type: ignore[attr-defined]
        if headers & {"if-none-match", "x-amz-checksum-sha256", "x-amz-checksum-algorithm"}:
            return error(501, "NotImplemented")(handler, forward)  # type: ignore[arg-type]
        return forward()  # type: ignore[operator]

    for method in ("PUT", "POST"):
        rclone_proxy.spoil(method, MARKER, refuse, times=100)  # type: ignore[arg-type]
    put(rclone)
    assert get(rclone) == DATA


def test_a_redirect_is_not_followed(
    rclone: S3Storage, rclone_proxy: Proxy, moto_proxy: Proxy
) -> None:
    elsewhere = f"{moto_proxy.url}/stolen"
    for status in (301, 302, 307):
        rclone_proxy.spoil("GET", "list-type=2", error(status, "Moved", Location=elsewhere))
        with pytest.raises(StorageError, match="with a redirect"):
            list(rclone.list())
    assert moto_proxy.requests == []


def test_single_requests_are_left_to_the_wrapper(rclone: S3Storage, rclone_proxy: Proxy) -> None:
    rclone_proxy.spoil("GET", "list-type=2", error(503, "SlowDown"), times=100)
    with pytest.raises(StorageUnavailable):
        list(rclone.list())
    assert rclone_proxy.count("GET", "list-type=2") == 1


def test_an_unreachable_endpoint_is_unavailable(rclone_s3: S3Endpoint) -> None:
    with faulty(rclone_s3.url) as proxy:
        storage = storage_at(rclone_s3, proxy)
    with pytest.raises(StorageUnavailable, match="no answer"):
        storage.stat(MARKER)
