"""Many jobs with many people who watch them, on the catalog that has one writer at a time. Slow."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.web.jobs.cluster import Cluster, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

JOBS, WATCHERS, SECONDS = 8, 20, 20


def test_eight_jobs_with_twenty_watchers_never_find_the_catalog_locked(cluster: Cluster) -> None:
    at = f"127.0.0.1:{free_port()}"
    cluster.start("up", "--bind", at, COVET_WORKERS=str(JOBS), COVET_TEST_LIMIT=str(JOBS))
    wait_until(lambda: bool(cluster.ask("nodes")), 60)
    cookie = cluster.ask("watcher")
    jobs = [cluster.enqueue("steps", argument={"seconds": SECONDS}) for _ in range(JOBS)]
    wait_until(lambda: cluster.ask("states") == {"running": JOBS}, 90)

    addresses = [f"http://{at}/jobs/{jobs[n % JOBS]}/live" for n in range(WATCHERS)]
    with ThreadPoolExecutor(WATCHERS) as people:
        answers = list(people.map(lambda address: watch(address, cookie), addresses))

    writes = [cluster.job(job)["version"] for job in jobs]
    print(f"\nanswers: {dict(sum(answers, Counter()))}, writes of the jobs: {writes}")
    assert cluster.ask("states") == {"succeeded": JOBS}
    assert all(each[200] >= 2 for each in answers), "everybody sees it move, and end"
    messages = (cluster.folder / "messages").read_text()
    assert "database is locked" not in messages and "Traceback" not in messages, messages
    for job in map(cluster.job, jobs):
        assert job["version"] <= lasted(job) + 4, "more than one write a second, claim and end"


def watch(address: str, cookie: str) -> Counter[int]:
    """Ask once a second, as a page does, until it is told to look at the end; codes of answers.
    Raises for any that is an error."""
    version, codes = "", Counter[int]()
    while True:
        request = urllib.request.Request(f"{address}?v={version}", headers={"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=30) as answer:
            codes[answer.status] += 1
            text = answer.read().decode()
            if "HX-Refresh" in answer.headers:
                return codes
        if answer.status == 200:
            version = re.findall(r"live\?v=(\d+)", text)[0]
        time.sleep(1)


def lasted(job: dict[str, str]) -> float:
    begin, end = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (end - begin).total_seconds()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
