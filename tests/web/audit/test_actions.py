"""Titles of audit actions: each code of the code base has one, and filters find entries by it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from covetbackup.access.models import Team, User
from covetbackup.audit.actions import TITLES
from covetbackup.audit.log import actor_of, record
from covetbackup.audit.models import AuditEntry
from tests.shape.tree import imported_names, modules
from tests.web.conftest import ClientOf

CODE = re.compile(r"[a-z-]+(\.[a-z_-]+)+")
RECORD = "covetbackup.audit.log.record"


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Strings like codes among the arguments of calls and in what is assigned to `action`."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = node.args + [keyword.value for keyword in node.keywords]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "action":
            values = [node.value]
        for value in values:
            choices = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            for each in choices:
                if isinstance(each, ast.Constant) and CODE.fullmatch(str(each.value)):
                    yield each.value


def test_each_action_code_of_the_code_base_has_a_title_and_each_title_a_code() -> None:
    recording = [
        tree
        for _, tree in modules("covetbackup/", "backups/", "restores/")
        if RECORD in imported_names(tree)
    ]
    assert {code for tree in recording for code in codes_in(tree)} == set(TITLES)


def test_titles_are_unique_and_fit_the_column() -> None:
    assert len(set(TITLES.values())) == len(TITLES)
    assert max(map(len, TITLES)) <= AuditEntry._meta.get_field("action").max_length


@pytest.mark.parametrize("action", TITLES)
def test_the_page_shows_the_title_and_not_the_code(
    client_of: ClientOf, owner: User, team: Team, action: str
) -> None:
    record(actor_of(owner), action, team=team)
    page = client_of(owner).get("/audit/").content.decode()
    assert f">{TITLES[action]}<" in page and f">{action}<" not in page


@pytest.mark.parametrize(
    ("text", "count"),
    [("deletion requested", 1), ("Backup", 2), ("backup.delete", 1), ("backup.", 2), ("kept", 0)],
)
def test_the_filter_finds_titles_and_codes(
    client_of: ClientOf, owner: User, team: Team, text: str, count: int
) -> None:
    for action in ("backup.delete", "backup.pin", "server.add"):
        record(actor_of(owner), action, team=team)
    page = client_of(owner).get("/audit/", {"action": text}).content.decode()
    assert page.count('data-label="Number"') == count
