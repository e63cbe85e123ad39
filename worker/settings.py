"""The one settings module: every value that differs between deployments comes from the environment.

An invalid value stops the process at start; the message names the variable, its value and the expected form.
"""

import os
import re
import time
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from linking.sql import SCHEMES, settings_of
from worker.broker_urls import BROKERS, EVENT_BROKERS, QUEUE_NAME, RESULT_BACKENDS, check_url
from worker.environment import MAX_INTEGER, env, refuse
from worker.environment import boolean as _boolean
from worker.environment import integer as _integer
from worker.environment import path as _path
from worker.environment import read as _read
from worker.lms.config import LMSConfig
from worker.logs import logging_settings
from worker.relink_limit import parse_relink_limit


def _time_of_day(text: str) -> tuple[int, int]:
    parsed = time.strptime(text, "%H:%M")
    return parsed.tm_hour, parsed.tm_min


def _database(text: str) -> dict[str, Any]:
    scheme = text.partition(":")[0]
    return _complete(scheme, env.db_url_config(text)) if scheme in SCHEMES else {}


def _complete(scheme: str, database: dict[str, Any]) -> dict[str, Any]:
    timeouts = {"lock_timeout": LINKING_LOCK_TIMEOUT, "idle_timeout": LINKING_STALL_AFTER}
    return database | settings_of(scheme, database.get("OPTIONS", {}), **timeouts, is_lms=LINKING_LMS)


DEBUG = _boolean("DEBUG", default=False)
LMS_CFG = _path("LMS_CFG", "the path of the LMS's YAML, such as Tutor's lms.env.yml", Path.is_file)
"""The LMS's own configuration, which names its database and its broker; DATABASE_URL and CELERY_BROKER_URL go first."""
LINKING_LMS = _boolean("LINKING_LMS", default=LMS_CFG is not None)
"""Whether the database is that of an LMS, which owns all tables but ours."""
if LMS_CFG and not LINKING_LMS:
    refuse("LINKING_LMS", "0", "1, or no LMS_CFG: the tables of an LMS are its own")
_lms = LMSConfig(LMS_CFG) if LMS_CFG else None
LINKING_IGNORE_ENROLLMENT_FILTERS = _boolean("LINKING_IGNORE_ENROLLMENT_FILTERS", default=False)
"""Whether to start although the LMS has filters that may refuse an enrollment, which the worker does not run."""
if _lms and not LINKING_IGNORE_ENROLLMENT_FILTERS:
    _lms.refuse_enrollment_filters()
SECRET_KEY: str = env.str("SECRET_KEY", "") or ("only-for-development" if DEBUG else "")
if not SECRET_KEY:
    message = (
        "SECRET_KEY is not set: expected a long random text"
        " (python -c 'import secrets; print(secrets.token_urlsafe(50))'), or DEBUG=1 on a laptop."
    )
    raise ImproperlyConfigured(message)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

# --- The pages' security ----------------------------------------------------------------------------------------------
TLS_PROXY = _boolean("TLS_PROXY", default=not DEBUG)
"""Whether browsers reach the pages by HTTPS only, through a proxy that sets ``X-Forwarded-Proto`` itself."""
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS_PROXY else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS_PROXY
SECURE_HSTS_SECONDS = _integer("SECURE_HSTS_SECONDS", 31_536_000 if TLS_PROXY else 0, least=0)
"""Seconds for which a browser requests the pages by HTTPS only; a year."""
SILENCED_SYSTEM_CHECKS = [
    *("security.W005", "security.W021"),  # HSTS for subdomains, preload: the domain owner decides.
    "models.W037",  # MySQL has no indexes with conditions: decision 17.
]
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
for origin in CSRF_TRUSTED_ORIGINS:
    if not re.fullmatch(r"https?://[^/\s]+", origin):
        refuse("CSRF_TRUSTED_ORIGINS", origin, "origins such as https://links.example.org, with commas between")
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600  # Seconds: a working day.
# Uploads name learners: they stay in memory, and no larger than LINKING_MAX_MAPPING learners can be.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20  # Bytes.

INSTALLED_APPS = [
    "worker",  # Before the admin: some of its templates are overridden.
    "worker.apps.LinkingAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "worker.lms.sessions" if LINKING_LMS else "django.contrib.sessions",
    "django.contrib.staticfiles",
    "worker.lms.apps.ResultsConfig" if LINKING_LMS else "django_celery_results",
    "linking",
    "linking.outbox",
    "worker.api_tokens",
]
if LINKING_LMS:  # docs/decisions/0020-beside-an-lms.md
    # No migration of these is run or recorded: their tables are the LMS's.
    MIGRATION_MODULES = {
        "linking_results": "worker.lms.results.migrations",
        **dict.fromkeys(("admin", "auth", "contenttypes", "linking")),
    }
    DATABASE_ROUTERS = ["worker.lms.router.LMSRouter"]
    AUTHENTICATION_BACKENDS = ["worker.lms.accounts.AccountBackend"]
    SESSION_ENGINE = "worker.lms.sessions.store"
    # The pages may have the LMS's host name: its cookies stay its own.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "linking_sessionid", "linking_csrftoken"
    MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
MIDDLEWARE = [
    "worker.web.health.probe_middleware",  # First: probes use an address instead of a name in ALLOWED_HOSTS.
    "django.middleware.security.SecurityMiddleware",
    "worker.web.csp.csp_middleware",
    "worker.web.api.problems.problem_middleware",
    "worker.web.locked.LockTimeoutMiddleware",
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
"""Seconds without progress after which recovery sends a job again."""
LINKING_LOCK_TIMEOUT = _integer("LINKING_LOCK_TIMEOUT", 10, most=30)
"""Seconds that a statement waits for a lock, on a server; then its task is tried later. Far below the time limit."""
DATABASES = {
    "default": _complete(*_lms.database())
    if _lms and not env.str("DATABASE_URL", "")
    else _read(
        "DATABASE_URL",
        "sqlite:///program-linking.sqlite3",
        _database,
        "postgresql://user:password@host:port/name, mysql://… or sqlite:///path",
        lambda database: bool(database.get("NAME")),
    )
}
if LINKING_LMS and "sqlite" in DATABASES["default"]["ENGINE"]:
    refuse("LINKING_LMS", "1", "the LMS's database: DATABASE_URL=mysql://user:password@host:port/name, or LMS_CFG")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"

LINKING_SENTINEL_MASTER: str = env.str("LINKING_SENTINEL_MASTER", "").strip()
"""Name of the master that the Sentinels of a ``sentinel://`` URL monitor."""
LINKING_SENTINEL_USERNAME: str = env.str("LINKING_SENTINEL_USERNAME", "")
LINKING_SENTINEL_PASSWORD: str = env.str("LINKING_SENTINEL_PASSWORD", "")
"""Credentials for the Sentinels themselves; those in the URL are for the master."""
CELERY_BROKER_URL = _read(
    "CELERY_BROKER_URL",
    _lms.broker_url() if _lms and not env.str("CELERY_BROKER_URL", "") else "redis://localhost:6379/0",
    lambda text: check_url("CELERY_BROKER_URL", text, BROKERS, LINKING_SENTINEL_MASTER),
    "redis://host:port/0, rediss://…, redis+socket:///path, valkey://…, valkeys://…, sentinel://…, amqp://… or amqps://…",
)
# Celery's other backends do not end a chord whose subtasks store no result: a job would never end.
CELERY_RESULT_BACKEND = _read(
    "CELERY_RESULT_BACKEND",
    "django-db",
    lambda text: (
        text
        if text == "django-db"
        else check_url("CELERY_RESULT_BACKEND", text, RESULT_BACKENDS, LINKING_SENTINEL_MASTER)
    ),
    "django-db, redis://host:port/1, rediss://…, redis+socket:///path, valkey://…, valkeys://… or sentinel://…",
)
LINKING_QUEUE = _read(
    "LINKING_QUEUE",
    "linking",
    str,
    "a name of at most 40 letters, digits, dots, hyphens and underscores",
    lambda name: bool(QUEUE_NAME.fullmatch(name)),
)
"""The queue that callers send to. All that the worker keeps in the broker has this name, or begins with it."""
LINKING_OLD_QUEUE = _read(
    "LINKING_OLD_QUEUE",
    "celery",
    str,
    "empty, or the name of a queue that is not LINKING_QUEUE",
    lambda name: not name or bool(QUEUE_NAME.fullmatch(name) and name != LINKING_QUEUE),
)
"""Another queue that is consumed, for callers that send to it; empty: none."""
LINKING_QUEUE_TYPE = _read(
    "LINKING_QUEUE_TYPE", "classic", str.lower, "classic or quorum", {"classic", "quorum"}.__contains__
)
"""Type of the queues on RabbitMQ."""

LINKING_MAX_SUBTASKS = _integer("LINKING_MAX_SUBTASKS", 64)
"""Most Celery subtasks of a job, until its slices reach LINKING_MAX_SLICE learners."""
LINKING_MIN_SLICE = _integer("LINKING_MIN_SLICE", 250)
"""Fewest learners in a slice of a mapping of more than 16: below, the fixed cost of a slice outweighs its learners."""
LINKING_MAX_SLICE = _integer("LINKING_MAX_SLICE", 1_000)
"""Most learners in a slice; learners that interfere stay together even so."""
LINKING_MAX_LEARNERS_PER_SECOND = _integer("LINKING_MAX_LEARNERS_PER_SECOND", 0, least=0)
"""Most learners that all workers together link in a second, on average; 0: no limit. The same for all workers."""
LINKING_MAX_MAPPING = _integer("LINKING_MAX_MAPPING", 100_000)
"""Most entries in a message."""
LINKING_MAX_REQUEST_BYTES = _integer(
    "LINKING_MAX_REQUEST_BYTES", min(max(2**20, 640 * LINKING_MAX_MAPPING), MAX_INTEGER)
)
"""Most bytes in a message's body; by default enough for LINKING_MAX_MAPPING entries of the longest keys and names."""
LINKING_MAX_RESULT_ERRORS = _integer("LINKING_MAX_RESULT_ERRORS", 10_000, least=0)
"""Most errors in a stored result; the ledger holds them all."""
LINKING_HEARTBEAT = _path(
    "LINKING_HEARTBEAT", "a file in a folder that can be written to", lambda path: os.access(path.parent, os.W_OK)
)
"""A file that worker and beat touch while they work, for cheap health checks; None: no file."""
LINKING_INBOX = _path(
    "LINKING_INBOX",
    "the absolute path of a folder, the same for all workers",
    # It need not exist yet: a shared folder may be mounted after the process started.
    lambda path: path.is_absolute() and (path.is_dir() or not path.exists()),
)
"""The folder that files to import are dropped in; None: no import."""
LINKING_IMPORT_AT = _read("LINKING_IMPORT_AT", "02:00", _time_of_day, "a time of day in UTC such as 02:00")
"""Start of the nightly import in UTC: hour and minute."""
LINKING_IMPORT_MAX_RELINKS = _read(
    "LINKING_IMPORT_MAX_RELINKS",
    "5%",
    parse_relink_limit,
    "a whole number from 0, or a percentage such as 5% (100% for no limit)",
)
"""Most relinks of a program in an imported file: a number, or a percentage of the program's learners in the file."""
LINKING_IMPORT_MODE = _read("LINKING_IMPORT_MODE", "full", str.lower, "full or diff", {"full", "diff"}.__contains__)
"""Rows of an imported file that are submitted: all, or those that were not in the last file of their program."""
LINKING_EVENT_RECEIVERS: list[str] = [
    path for part in env.list("LINKING_EVENT_RECEIVERS", default=[]) if (path := part.strip())
]
"""Dotted paths of functions that are called with each event; checked when the applications are ready."""
LINKING_EVENTS_TASK = _read(
    "LINKING_EVENTS_TASK", "", str, "the name of a Celery task, without spaces", lambda name: not re.search(r"\s", name)
)
"""Name of the Celery task that receives events in batches; empty: none."""
LINKING_EVENTS_QUEUE = _read(
    "LINKING_EVENTS_QUEUE", "", str, "the name of a queue, without spaces", lambda name: not re.search(r"\s", name)
)
"""The queue of that task."""
LINKING_EVENTS_BROKER_URL = _read(
    "LINKING_EVENTS_BROKER_URL",
    "",
    lambda text: text and check_url("LINKING_EVENTS_BROKER_URL", text, EVENT_BROKERS, ""),
    "redis://host:port/0, rediss://…, redis+socket:///path, valkey://…, valkeys://…, amqp://… or amqps://…",
)
"""The broker of that queue; empty: the worker's own."""
LINKING_EVENTS = _boolean("LINKING_EVENTS", default=bool(LINKING_EVENT_RECEIVERS or LINKING_EVENTS_TASK))
"""Whether changes are recorded as events and delivered. Without a receiver nobody would remove them."""
if LINKING_EVENTS and not (LINKING_EVENT_RECEIVERS or LINKING_EVENTS_TASK):
    refuse("LINKING_EVENTS", "1", "LINKING_EVENT_RECEIVERS or LINKING_EVENTS_TASK to name a receiver, or 0")
if bool(LINKING_EVENTS_TASK) != bool(LINKING_EVENTS_QUEUE):
    refuse("LINKING_EVENTS_QUEUE", LINKING_EVENTS_QUEUE, "it and LINKING_EVENTS_TASK to be set together")
if LINKING_EVENTS_BROKER_URL and not LINKING_EVENTS_TASK:
    refuse("LINKING_EVENTS_TASK", "", "the name of the task that receives events on LINKING_EVENTS_BROKER_URL")
LINKING_RETENTION_DAYS = _integer("LINKING_RETENTION_DAYS", 90)
"""Days for which the ledger keeps the learners of ended jobs and the digests of imported files."""
LINKING_LOG_FORMAT = _read("LINKING_LOG_FORMAT", "line", str.lower, "line or json", {"line", "json"}.__contains__)
"""Format of the log: for each record a line of text, or a line of JSON (``worker/logs.py`` has its fields)."""
LINKING_LOG_LEARNERS = _boolean("LINKING_LOG_LEARNERS", default=False)
"""Whether records that name a learner (logger ``linking.learners``) reach the log."""

LOGGING = logging_settings(LINKING_LOG_FORMAT, with_learners=LINKING_LOG_LEARNERS)
