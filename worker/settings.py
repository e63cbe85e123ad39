"""The one settings module: every value that differs between places comes from the environment.

A value that cannot be right stops the process at start and says which, what it was and what is expected.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def _refuse(name: str, value: object, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}={value!r} cannot be right: expected {expected}.")


def _boolean(name: str, *, default: bool) -> bool:
    value = env.str(name, str(int(default))).strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise _refuse(name, value, "1 or 0")


def _choice(name: str, default: str, *known: str) -> str:
    value: str = env.str(name, default).strip().lower()
    if value not in known:
        raise _refuse(name, value, " or ".join(known))
    return value


def _integer(name: str, default: int, *, least: int = 1, most: int = 2**31 - 1) -> int:
    value = env.str(name, str(default)).strip()
    if not re.fullmatch(r"[0-9]{1,10}(_[0-9]{1,3}){0,3}", value) or not least <= int(value) <= most:
        raise _refuse(name, value, f"a whole number from {least:,} to {most:,}")
    return int(value)


def _folder(name: str) -> Path | None:
    value = env.str(name, "").strip()
    if not value:
        return None
    # Whether it is there is another matter: a shared folder may come later than the process.
    if not Path(value).is_absolute() or (Path(value).exists() and not Path(value).is_dir()):
        raise _refuse(name, value, "the absolute path of a folder, the same for all workers")
    return Path(value)


def _time_of_day(name: str, default: str) -> tuple[int, int]:
    value = env.str(name, default).strip()
    if not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", value):
        raise _refuse(name, value, "a time of day in UTC such as 02:00")
    hour, minute = value.split(":")
    return int(hour), int(minute)


def _limit(name: str, default: str) -> int | str:
    value = env.str(name, default).strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if re.fullmatch(r"[0-9]{1,3}%", value) and int(value[:-1]) <= 100:  # noqa: PLR2004 - percent
        return str(value)
    raise _refuse(name, value, "a whole number from 0, or a percentage such as 5% (100% for no limit)")


def _database(name: str, default: str) -> dict[str, Any]:
    value = env.str(name, default)
    scheme, *_ = value.partition(":")
    try:
        database: dict[str, Any] = env.db_url(name, default) if scheme in {"postgres", "postgresql", "sqlite"} else {}
    except ValueError:  # A port that is no number, say.
        database = {}
    if not database.get("NAME"):
        raise _refuse(name, f"{scheme}:…", "postgresql://user:password@host:port/name or sqlite:///path")
    if scheme == "sqlite":
        # Take the write lock when a transaction begins: a transaction that reads first and writes later could not wait
        # for another writer, it would fail ("database is locked") whatever the timeout (seconds).
        database["OPTIONS"] = {**database.get("OPTIONS", {}), "transaction_mode": "IMMEDIATE", "timeout": 60}
    else:
        # Seconds a worker keeps its connection; checked before use, so that a restarted server costs nobody a task.
        database |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
        # Milliseconds: a worker that froze in the middle of a transaction must not hold its locks for ever.
        settings = f"-c idle_in_transaction_session_timeout={LINKING_STALL_AFTER * 1000}"
        # Everything is looked up by key, in an index that is in memory or on a solid-state disk. At the default of 4
        # the planner would rather read a whole table for the thousand rows of a slice.
        settings += " -c random_page_cost=1.1"
        options = database.setdefault("OPTIONS", {})
        options["options"] = f"{options.get('options', '')} {settings}".strip()
    return database


def _broker(name: str, default: str) -> str:
    value: str = env.str(name, default)
    scheme = urlsplit(value).scheme
    if scheme not in {"redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "pyamqp"}:
        raise _refuse(
            name, f"{scheme}:…", "redis://host:port/0, rediss://…, redis+socket:///path, amqp://… or amqps://…"
        )
    options = dict(parse_qsl(urlsplit(value).query))
    check = options.get("ssl_cert_reqs", "required")
    if check not in {"required", "optional", "none"}:
        raise _refuse(name, f"{scheme}:…ssl_cert_reqs={check}", "ssl_cert_reqs=required, optional or none")
    for option in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if option in options and not Path(options[option]).is_file():
            raise _refuse(name, f"{scheme}:…{option}={options[option]}", f"{option} to be the path of a file")
    return value


def _heartbeat(name: str) -> Path | None:
    value: str = env.str(name, "")
    if value and not os.access(Path(value).parent, os.W_OK):
        raise _refuse(name, value, "a file in a folder that can be written to")
    return Path(value) if value else None


def _origins(name: str) -> list[str]:
    origins: list[str] = env.list(name, default=[])
    for origin in origins:
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            raise _refuse(name, origin, "origins such as https://links.example.org, with commas between")
    return origins


def _secret_key(*, debug: bool) -> str:
    value: str = env.str("SECRET_KEY", "")
    if value:
        return value
    if debug:
        return "only-for-development"
    msg = (
        "SECRET_KEY is not set: expected a long random text"
        " (python -c 'import secrets; print(secrets.token_urlsafe(50))'), or DEBUG=1 on a laptop."
    )
    raise ImproperlyConfigured(msg)


BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = _boolean("DEBUG", default=False)
SECRET_KEY = _secret_key(debug=DEBUG)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

# --- The pages' security ----------------------------------------------------------------------------------------------
TLS_PROXY = _boolean("TLS_PROXY", default=not DEBUG)
"""Whether the pages are reached by HTTPS alone, through a proxy that sets ``X-Forwarded-Proto`` itself."""
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS_PROXY else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS_PROXY
SECURE_HSTS_SECONDS = _integer("SECURE_HSTS_SECONDS", 31_536_000 if TLS_PROXY else 0, least=0)
"""Seconds for which a browser asks for the pages by HTTPS only; a year."""
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # Other names of the domain are not ours to decide on.
CSRF_TRUSTED_ORIGINS = _origins("CSRF_TRUSTED_ORIGINS")
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600  # Seconds: a working day.
X_FRAME_OPTIONS = "DENY"
# Uploads name learners: they stay in memory, and no larger than LINKING_MAX_MAPPING learners can be.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20  # Bytes.

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_celery_results",
    "linking",
    "worker",
]
MIDDLEWARE = [
    "worker.web.health.probe_middleware",  # First: probes use an address instead of a name in ALLOWED_HOSTS.
    "django.middleware.security.SecurityMiddleware",
    "worker.web.csp.csp_middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # Serves the admin's own files; the pages need no other server.
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "worker.web.urls"
WSGI_APPLICATION = "worker.web.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"linking": "worker.admin.labels"},
        },
    }
]
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # Straight from the packages: nothing to collect before the first page.

LINKING_STALL_AFTER = _integer("LINKING_STALL_AFTER", 60)
"""Seconds without progress after which a job is taken up again."""
DATABASES = {"default": _database("DATABASE_URL", "sqlite:///program-linking.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "auth.User"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

CELERY_BROKER_URL = _broker("CELERY_BROKER_URL", "redis://localhost:6379/0")

LINKING_MAX_SUBTASKS = _integer("LINKING_MAX_SUBTASKS", 64)
"""Celery subtasks of a job, at most, until its slices reach LINKING_MAX_SLICE learners."""
LINKING_MAX_SLICE = _integer("LINKING_MAX_SLICE", 1_000)
"""Learners in one slice, at most (those that interfere stay together even so)."""
LINKING_MAX_MAPPING = _integer("LINKING_MAX_MAPPING", 100_000)
"""Entries in one message, at most."""
LINKING_MAX_RESULT_ERRORS = _integer("LINKING_MAX_RESULT_ERRORS", 10_000, least=0)
"""Errors in a stored result, at most; the ledger holds them all."""
LINKING_HEARTBEAT = _heartbeat("LINKING_HEARTBEAT")
"""A file that worker and beat touch while all is well, for health checks that cost nothing; None: no file."""
LINKING_INBOX = _folder("LINKING_INBOX")
"""The folder that files to import are dropped in, None where there is none."""
LINKING_IMPORT_AT = _time_of_day("LINKING_IMPORT_AT", "02:00")
"""When the nightly import begins, in UTC: hour and minute."""
LINKING_IMPORT_MAX_RELINKS = _limit("LINKING_IMPORT_MAX_RELINKS", "5%")
"""Enrollments of an imported program that may change hands: a number, or a percentage of its learners in the file."""
LINKING_RETENTION_DAYS = _integer("LINKING_RETENTION_DAYS", 90)
"""Days for which the ledger remembers what was linked, and which files were imported."""
LINKING_LOG_FORMAT = _choice("LINKING_LOG_FORMAT", "line", "line", "json")
"""How the log is written: a line of text for each record, or a line of JSON (``worker/logs.py`` has its fields)."""
LINKING_LOG_LEARNERS = _boolean("LINKING_LOG_LEARNERS", default=False)
"""Whether records that name a learner (logger ``linking.learners``) reach the log."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
        "json": {"()": "worker.logs.LogFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LINKING_LOG_FORMAT}},
    "filters": {"hidden": {"()": "worker.logs.RedactMessages"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # The one logger that names learners: personal data, so it is silent unless switched on.
        "linking.learners": {
            "handlers": ["console"] if LINKING_LOG_LEARNERS else [],
            "level": "INFO" if LINKING_LOG_LEARNERS else "CRITICAL",
            "propagate": False,
        },
        # Celery logs a message that it cannot use as a whole, learners included.
        "celery.worker.consumer.consumer": {"filters": [] if LINKING_LOG_LEARNERS else ["hidden"]},
    },
}
