"""All settings, from the environment only. Each variable is named in docs/settings.md.

Nothing here raises: wrong values are reported by `covetbackup check`, see `covetbackup/checks.py`.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from covetbackup.env import Environment

ENV = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
IS_CHECKOUT = (BASE_DIR / "manage.py").is_file()
DATA_DIR = BASE_DIR if IS_CHECKOUT else BASE_DIR / "covetbackup"
"""Holds `templates` and `static`; pyproject.toml says where a wheel has them."""
VAR_DIR = ENV.path(
    "COVET_VAR",
    BASE_DIR / "var" if IS_CHECKOUT else Path("~/.local/share/covetbackup").expanduser(),
)

SECRET_KEY_FILE = ENV.path("COVET_SECRET_KEY_FILE", VAR_DIR / "secret-key")
CATALOG_KEYS_FILE = ENV.path("COVET_CATALOG_KEYS_FILE", VAR_DIR / "catalog-keys")
RECOVERY_KEY_FILE = VAR_DIR / "recovery.key"
"""Written once by `init`, to be moved away from this machine."""

REPOSITORY_ROOTS = [
    Path(word).absolute() for word in ENV.words("COVET_REPOSITORY_ROOTS", str(VAR_DIR))
]
"""Local repositories lie below one of these."""
SQLITE_ROOTS = [Path(word).absolute() for word in ENV.words("COVET_SQLITE_ROOTS", str(VAR_DIR))]
"""Folders of SQLite files, which are backed up and restored to, are these or lie below them."""
SOCKET_HOSTS_ALLOWED = ENV.flag("COVET_SOCKET_HOSTS")
"""Whether a PostgreSQL host may be the directory of a socket on this machine."""
AMBIENT_S3_ALLOWED = ENV.flag("COVET_S3_AMBIENT")
"""Whether S3 without credentials uses this machine's own (environment, instance role)."""


def _secret_key() -> str:
    try:
        return SECRET_KEY_FILE.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        # Good for one process, so that `check` and `init` can run; `check` reports the missing
        # file, and workers with different keys could not read each other's hints.
        return secrets.token_urlsafe(48)


SECRET_KEY = _secret_key()
DEBUG = False
TRUSTED_PROXIES = ENV.networks("COVET_TRUSTED_PROXIES")
"""Networks whose `X-Forwarded-For` is believed."""
ALLOWED_HOSTS = ENV.words("COVET_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
SITE_URL = ENV.text("COVET_SITE_URL", "http://127.0.0.1:8000")
CSRF_TRUSTED_ORIGINS = [SITE_URL] if "://" in SITE_URL else []

INSTALLED_APPS = [
    "covetbackup.apps.Project",
    "covetbackup.access",
    "covetbackup.audit",
    "covetbackup.jobs",
    "backups",
    "restores",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "covetbackup.headers.SecurityHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "covetbackup.access.middleware.SignedIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "covetbackup.urls"
WSGI_APPLICATION = "covetbackup.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [DATA_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "covetbackup.access.context.shell",
                "backups.context.quarantine",
            ],
            "builtins": ["covetbackup.access.templatetags.ui"],
        },
    }
]

DATABASES = {"default": ENV.catalog("DATABASE_URL", VAR_DIR / "catalog.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ATOMIC_REQUESTS = False
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    # q2 writes its own statistics every half second; we have the Node rows instead.
    "q2stat": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}

AUTH_USER_MODEL = "access.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
OTP_TOTP_ISSUER = "CovetBackup"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True
PASSWORD_RESET_TIMEOUT = 86400
CSRF_FAILURE_VIEW = "covetbackup.error_pages.forged"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "sign-in"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_SECONDS = 2 * 3600
"""A session ends this long after its last page, and `SESSION_COOKIE_AGE` after it began."""
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
IS_HTTPS = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-covet-session" if IS_HTTPS else "covet-session"
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
X_FRAME_OPTIONS = "DENY"

REAUTHENTICATION_SECONDS = 600
"""How long after typing the password dangerous acts are allowed."""

EMAIL_HOST = ENV.text("COVET_EMAIL_HOST")
EMAIL_PORT = ENV.number("COVET_EMAIL_PORT", 587, least=1, most=65535)
EMAIL_HOST_USER = ENV.text("COVET_EMAIL_USER")
EMAIL_HOST_PASSWORD = ENV.file("COVET_EMAIL_PASSWORD_FILE")
EMAIL_TIMEOUT = 10
EMAIL_USE_TLS = ENV.flag("COVET_EMAIL_TLS", True)
DEFAULT_FROM_EMAIL = ENV.text("COVET_EMAIL_FROM", "covetbackup@localhost")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.console.EmailBackend"
)

LANGUAGE_CODE = "en-gb"
TIME_ZONE = ENV.text("COVET_TIME_ZONE", "UTC")
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [DATA_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# A queue is a q2 cluster; its name must be in the environment before Django starts, because
# `qcluster --name` has no effect. Each value's reason: see `covetbackup/jobs/__init__.py`.
QUEUE = ENV.text("Q_CLUSTER_NAME", "")
WORKERS = ENV.number("COVET_WORKERS", 4, least=1, most=64)
BROKER_URL = ENV.text("COVET_BROKER_URL")
Q_CLUSTER = {
    "name": "covet",
    "workers": 2,
    "timeout": 90,
    "retry": 120,
    "ack_failures": True,
    "max_attempts": 1,
    "queue_limit": 1,
    "bulk": 1,
    "poll": 0.25,
    "guard_cycle": 0.5,
    "recycle": 200,
    "catch_up": False,
    "save_limit": 200,
    "time_zone": "UTC",
    "cache": "q2stat",
    "label": "Task queue",
    "ALT_CLUSTERS": (
        {QUEUE: {"workers": WORKERS, "recycle": 20, "scheduler": False}}
        if QUEUE and QUEUE != "covet"
        else {}
    ),
    **(
        {"broker_class": "covetbackup.jobs.broker.RedisBroker"}
        if BROKER_URL
        else {"orm": "default"}
    ),
}

JOB_KINDS = {
    "backup": "backups.tasks.run_backup",
    "copy": "backups.copy_tasks.run_copy",
    "verify": "backups.tasks.run_verify",
    "delete": "backups.tasks.run_delete",
    "restore": "restores.tasks.run_restore",
    "drop_kept": "restores.retained_tasks.run_drop",
    "swap_back": "restores.retained_tasks.run_swap_back",
}
"""Kinds of work by dotted path: `jobs` imports neither `backups` nor `restores`."""
JOB_HOOKS = {
    "backup": "backups.tasks.job_ended",
    "copy": "backups.copy_tasks.copy_ended",
    "verify": "backups.tasks.job_ended",
    "delete": "backups.tasks.job_ended",
    "restore": "restores.tasks.job_ended",
    "drop_kept": "restores.retained_tasks.drop_ended",
    "swap_back": "restores.retained_tasks.swap_back_ended",
}
"""Called with the job once its state is final, at least once: a hook must bear repetition.

It records what a runner that died could not, and removes what it left. An attempt that will be
repeated calls no hook: the next attempt (`work.attempt` > 1) removes what the last one left.
"""
JOB_PERMISSIONS = {
    "backup": "run_backup",
    "copy": "run_backup",
    "verify": "verify",
    "delete": "delete_backup",
    "restore": "restore_new",
    "drop_kept": "restore_overwrite",
    "swap_back": "restore_overwrite",
}
"""What the person who asked for a job must still be allowed to do when it starts."""

JOB_GATE = "backups.quarantine.refusal"
"""Why no job may start now, "" if they may: no tick and no hook is called either."""
JOB_TICKS = ["backups.quarantine.adopt", "restores.tick.tick"]
"""Called by every worker every few seconds; any number of them may do so at once."""

JOB_LIMITS = {
    "all": ENV.number("COVET_JOBS_AT_ONCE", 4, least=1, most=64),
    "server": ENV.number("COVET_JOBS_PER_SERVER", 2, least=1, most=64),
    "repository": ENV.number("COVET_JOBS_PER_REPOSITORY", 4, least=1, most=64),
}
JOB_HISTORY_DAYS = ENV.number("COVET_JOB_HISTORY_DAYS", 90, least=1, most=36500)
"""How long an ended job and its log are kept, unless a backup or a restore refers to it."""
JOB_SECONDS = {
    "heartbeat": 10,
    "lease": 90,
    "tick": 5,
    "notify_again": 20,
    "hook_again": 120,
    "retry": 30,
    "retry_most": 1800,
}
"""The lease is short enough that a lost machine is noticed within two minutes, and long enough
that an outage of the catalog of up to a minute (two thirds of it) stops no job."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "covetbackup.log_format.LogFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "filters": {"outage": {"()": "covetbackup.jobs.outage.OneSentenceErrors"}},
    "loggers": {"django-q": {"filters": ["outage"]}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENV.text("COVET_LOG_LEVEL", "INFO")},
}
