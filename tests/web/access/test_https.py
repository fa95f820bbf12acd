"""The settings of a site behind https, as a process of its own reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SHOW = """
import json
from covetbackup import settings
names = ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
         "SESSION_COOKIE_HTTPONLY", "SECURE_HSTS_SECONDS", "CSRF_TRUSTED_ORIGINS", "DEBUG")
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def test_behind_https_cookies_never_travel_in_clear() -> None:
    environment = os.environ | {"COVET_SITE_URL": "https://backups.example.com"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "SESSION_COOKIE_NAME": "__Host-covet-session",
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "CSRF_TRUSTED_ORIGINS": ["https://backups.example.com"],
        "DEBUG": False,
    }
