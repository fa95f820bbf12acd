"""A restore request: what it means, what it refuses, and its stored form."""

from __future__ import annotations

import json

import pytest

from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting

REQUESTS = [
    RestoreRequest(),
    RestoreRequest("shop", replace=True, owner="none", jobs=4),
    RestoreRequest("shop", owner="heir", create_roles=True, options=("skip_failing",)),
    RestoreRequest(
        "shop",
        Selection(("public.a",), ("sales",), with_data=False, schemas_as=(("public", "before"),)),
        into_existing=True,
    ),
]


@pytest.mark.parametrize(
    ("owner", "policy", "role"),
    [
        ("keep", OwnerPolicy.KEEP, ""),
        ("none", OwnerPolicy.NONE, ""),
        ("heir", OwnerPolicy.ROLE, "heir"),
    ],
)
def test_an_owner_is_a_policy_or_a_role(owner: str, policy: OwnerPolicy, role: str) -> None:
    request = RestoreRequest(owner=owner)
    assert (request.owner_policy, request.owner_role) == (policy, role)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jobs": 0}, "0 jobs cannot restore anything"),
        ({"owner": ""}, "the owner has no name"),
        ({"replace": True, "into_existing": True}, "either replaced or restored into"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(BadSetting, match=message):
        RestoreRequest(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_stored_form_reads_back_as_the_same_request(request_: RestoreRequest) -> None:
    stored = json.loads(json.dumps(request_.to_json()))
    assert stored["version"] == 1
    assert RestoreRequest.from_json(stored) == request_


def test_a_request_of_a_newer_version_is_refused() -> None:
    stored = RestoreRequest().to_json() | {"version": 2, "unknown": True}
    with pytest.raises(BadSetting, match="newer CovetBackup"):
        RestoreRequest.from_json(stored)


def test_rows_without_structure_go_into_an_existing_database() -> None:
    request = RestoreRequest(selection=Selection(("a",), with_structure=False))
    assert request.is_in_place and not request.has_structure and not request.sets_options


def test_an_option_that_the_kind_has_not_is_named() -> None:
    with pytest.raises(BadSetting, match="unknown restore options: fly, swim"):
        RestoreRequest(options=("swim", "walk", "fly")).refuse_unknown_options("walk")
