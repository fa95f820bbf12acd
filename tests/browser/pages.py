"""Every page of the dashboard, by name."""

from __future__ import annotations

import re

from tests.browser.sample_dashboard import LivedIn

REFUSALS = "status of 4(04|22)"
"""What the console says of the pages below that are no 200: one missing, one refused form."""

SIGNED_OUT = {"sign-in": "/sign-in/", "password-reset": "/password/reset/"}


def pages_of(world: LivedIn) -> dict[str, str]:
    """What somebody who is signed in as an owner can open."""
    return {
        "overview": "/",
        "servers": "/servers/",
        "server": f"/servers/{world.server}/",
        "server-sqlite": f"/servers/{world.folder}/",
        "server-add": "/servers/add/",
        "server-add-sqlite": "/servers/add/?kind=sqlite",
        "server-edit": f"/servers/{world.server}/edit/",
        "databases": "/databases/",
        "database": "/databases/1/",
        "backups": "/backups/",
        "backups-none": "/backups/?q=nothing+is+called+so",
        "backup": f"/backups/{world.backup}/",
        "backup-failed": f"/backups/{world.failed}/",
        "backup-delete": f"/backups/{world.backup}/delete/",
        "restores": "/restores/",
        **_before_a_restore(f"/restores/new/{world.backup}", world.server),
        "restore": f"/restores/{world.restore}/",
        "restore-replaced": f"/restores/{world.replaced}/",
        "restore-revert": f"/restores/{world.replaced}/swap-back/",
        "restore-delete-retained": f"/restores/{world.replaced}/drop/",
        "jobs": "/jobs/",
        "jobs-none": "/jobs/?state=interrupted",
        "job": f"/jobs/{world.job}/",
        "job-failed": f"/jobs/{world.failed_job}/",
        "repositories": "/repositories/",
        "repository": "/repositories/1/",
        "repository-add": "/repositories/add/",
        "repository-add-s3": "/repositories/add/?kind=s3",
        "keys": "/keys/",
        "team": "/team/",
        "team-invite": "/team/1/invite/",
        "team-remove": "/team/member/1/remove/",
        "audit": "/audit/",
        "settings": "/settings/",
        "profile": "/profile/",
        "profile-email": "/profile/email/",
        "profile-password": "/profile/password/",
        "profile-factor": "/profile/factor/",
        "missing": "/there-is-no-such-page/",
    }


def _before_a_restore(new: str, server: int) -> dict[str, str]:
    where = f"server={server}&repository=1&owner=keep&jobs=1"
    check, replace = f"{where}&name=another_copy", f"{where}&retention_days=7&name=shop"
    add = f"{where}&into=shop&pick=t1"
    return {
        "restore-start": f"{new}/",
        "restore-start-some": f"{new}/?what=some&pick=t1",
        "restore-select": f"{new}/choose/?pick=t0",
        "restore-select-none": f"{new}/choose/?find=nothing+is+called+so",
        "restore-check": f"{new}/check/?{check}",
        "restore-check-some": f"{new}/check/?{check}&what=some&pick=t1",
        "restore-refused": f"{new}/check/?{check}{70 * 'x'}",
        "restore-into-existing": f"{new}/add/?what=some&pick=t1",
        "restore-into-existing-rows": f"{new}/add/?what=data&pick=t1&pick=s0",
        "restore-into-existing-nothing": f"{new}/add/",
        "restore-into-existing-check": f"{new}/add/check/?{add}&what=data",
        "restore-into-existing-refused": f"{new}/add/check/?{add}&what=some",
        "restore-replace": f"{new}/replace/",
        "restore-replace-check": f"{new}/replace/check/?{replace}",
        "restore-replace-refused": f"{new}/replace/check/?{replace}_not",
    }


def shape(path: str) -> str:
    """The path without query and with every number and id alike."""
    bare = re.split(r"[?#]", path)[0]
    return re.sub(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)", "/N", bare)
