"""S3 behind a proxy that answers every request with one thing no S3 store would answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from covetbackup.core.errors import StorageError, StorageUnavailable, WrongEndpoint
from covetbackup.core.manager import utc_now
from covetbackup.core.repository.marker import initialise
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3 import S3Storage
from covetbackup.core.storage.s3_settings import S3Credentials, S3Settings
from tests.support.s3 import S3Endpoint
from tests.support.s3_faults import Action, Answer, Proxy, faulty

ELSEWHERE = {"Location": "https://user:word@store.example:9000/login?token=1"}
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")

USES: dict[str, Callable[[Storage], object]] = {
    "init": lambda storage: initialise(storage, utc_now()),
    "open": lambda storage: BackupRepository.open(storage, name="here"),
    "list": lambda storage: list(storage.list()),
    "delete": lambda storage: storage.delete(MARKER),
    "cleanup": lambda storage: storage.cleanup(utc_now()),
    "create": lambda storage: storage.create(MARKER),
}


@pytest.fixture
def proxy(moto_s3: S3Endpoint) -> Iterator[Proxy]:
    with faulty(moto_s3.url) as proxy:
        yield proxy


@pytest.fixture
def storage(moto_s3: S3Endpoint, proxy: Proxy) -> Storage:
    keys = S3Credentials(moto_s3.access_key, moto_s3.secret_key)
    settings = S3Settings(moto_s3.bucket, endpoint_url=proxy.url, credentials=keys)
    retry = Retry(attempts=2, base_seconds=0)
    return ResilientStorage(S3Storage(settings, retry), retry)


def answer_all(proxy: Proxy, status: int, body: bytes = b"", **headers: str) -> None:
    action: Action = lambda handler, forward: Answer(  # noqa: E731
        status, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    for method in METHODS:
        proxy.spoil(method, "/", action, times=1000)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_endpoint_that_redirects_all_is_one_sentence_with_the_address(
    storage: Storage, proxy: Proxy, status: int
) -> None:
    answer_all(proxy, status, **ELSEWHERE)
    for use in USES.values():
        before = len(proxy.requests)
        with pytest.raises(WrongEndpoint) as caught:
            use(storage)
        assert "redirect to https://store.example:9000 (status" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "give it as the endpoint" in caught.value.hint
        assert "word" not in f"{caught.value}{caught.value.hint}"
        assert len(proxy.requests) - before <= 2


def test_a_bucket_in_another_region_is_named_with_its_region(
    storage: Storage, proxy: Proxy
) -> None:
    body = b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.example</Endpoint></Error>"
    answer_all(proxy, 301, body, x_amz_bucket_region="eu-west-1")
    with pytest.raises(WrongEndpoint) as caught:
        list(storage.list())
    assert "region=eu-west-1" in caught.value.hint

    proxy.forgive()
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-2</Region></Error>"
    answer_all(proxy, 400, body)
    with pytest.raises(WrongEndpoint, match="eu-west-2"):
        list(storage.list())


@pytest.mark.parametrize("body", [b"<html><body>hello</body></html>", b"<!DOCTYPE html><p>hello"])
@pytest.mark.parametrize("status", [200, 403, 404, 405])
def test_a_web_page_is_no_store(storage: Storage, proxy: Proxy, status: int, body: bytes) -> None:
    answer_all(proxy, status, body, Content_Type="text/html; charset=utf-8")
    for name in ("init", "open", "list"):
        with pytest.raises(StorageError, match="with a web page") as caught:
            USES[name](storage)
        assert "endpoint" in caught.value.hint


def test_an_answer_that_lacks_what_every_store_says_is_an_error(
    storage: Storage, proxy: Proxy
) -> None:
    answer_all(proxy, 200)
    with pytest.raises(WrongEndpoint, match="lacks"):
        storage.stat(MARKER)


def test_a_store_that_is_overloaded_says_what_to_do(storage: Storage, proxy: Proxy) -> None:
    answer_all(proxy, 503, b"<Error><Code>SlowDown</Code></Error>")
    with pytest.raises(StorageUnavailable, match="slow down") as caught:
        list(storage.list())
    assert "try again later" in caught.value.hint
