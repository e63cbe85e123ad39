"""A bad value in the environment stops the process at its start, with the name, the value and the expected values."""

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import ROOT, python

if TYPE_CHECKING:
    import subprocess


def start(code: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Start a process that loads the settings, in an environment that sets nothing else."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return python("-c", f"import worker.settings as settings\n{code}", env=kept | environment)


def last_line(process: "subprocess.CompletedProcess[str]") -> str:
    return process.stderr.strip().rpartition("\n")[2]


DATABASES = "postgresql://user:password@host:port/name, mysql://… or sqlite:///path"
BROKERS = "redis://host:port/0, rediss://…, redis+socket:///path, valkey://…, valkeys://…, sentinel://…, amqp://… or amqps://…"
BACKENDS = "django-db, redis://host:port/1, rediss://…, redis+socket:///path, valkey://…, valkeys://… or sentinel://…"
MASTER = "LINKING_SENTINEL_MASTER to name the master that the Sentinels monitor"
QUEUE = "a name of at most 40 letters, digits, dots, hyphens and underscores"
OLD_QUEUE = "empty, or the name of a queue that is not LINKING_QUEUE"
CERT_REQS, CA_CERTS = "ssl_cert_reqs=required, optional or none", "ssl_ca_certs to be the path of a file"
FOLDER = "the absolute path of a folder, the same for all workers"
LIMIT = "a whole number from 0, or a percentage such as 5% (100% for no limit)"
ORIGINS = "origins such as https://links.example.org, with commas between"
FROM_ONE, FROM_ZERO = "a whole number from 1 to 2,147,483,647", "a whole number from 0 to 2,147,483,647"


@pytest.mark.parametrize(
    ("name", "value", "shown", "expected"),
    [
        ("DEBUG", "maybe", "'maybe'", "1 or 0"),
        ("LINKING_LOG_LEARNERS", "2", "'2'", "1 or 0"),
        ("LINKING_LOG_FORMAT", "yaml", "'yaml'", "line or json"),
        ("LINKING_MAX_SUBTASKS", "0", "'0'", FROM_ONE),
        ("LINKING_MIN_SLICE", "0", "'0'", FROM_ONE),
        ("LINKING_MAX_SLICE", "ten", "'ten'", FROM_ONE),
        ("LINKING_MAX_SLICE", "_", "'_'", FROM_ONE),
        ("LINKING_MAX_SLICE", "", "''", FROM_ONE),
        ("LINKING_MAX_MAPPING", "1e5", "'1e5'", FROM_ONE),
        ("LINKING_MAX_MAPPING", "99999999999999999999", "'99999999999999999999'", FROM_ONE),
        ("LINKING_MAX_MAPPING", "2147483648", "'2147483648'", FROM_ONE),
        ("LINKING_MAX_REQUEST_BYTES", "64 MB", "'64 MB'", FROM_ONE),
        ("LINKING_MAX_RESULT_ERRORS", "-1", "'-1'", FROM_ZERO),
        ("LINKING_LOCK_TIMEOUT", "31", "'31'", "a whole number from 1 to 30"),
        ("LINKING_HEARTBEAT", "/missing/beat", "'/missing/beat'", "a file in a folder that can be written to"),
        ("LINKING_INBOX", "inbox", "'inbox'", FOLDER),
        ("LINKING_INBOX", str(ROOT / "README.md"), repr(str(ROOT / "README.md")), FOLDER),
        ("LINKING_IMPORT_AT", "24:00", "'24:00'", "a time of day in UTC such as 02:00"),
        ("LINKING_IMPORT_AT", "2 am", "'2 am'", "a time of day in UTC such as 02:00"),
        ("LINKING_IMPORT_MAX_RELINKS", "101%", "'101%'", LIMIT),
        ("LINKING_IMPORT_MAX_RELINKS", "-1", "'-1'", LIMIT),
        ("LINKING_RETENTION_DAYS", "0", "'0'", FROM_ONE),
        ("TLS_PROXY", "perhaps", "'perhaps'", "1 or 0"),
        ("SECURE_HSTS_SECONDS", "-1", "'-1'", FROM_ZERO),
        ("CSRF_TRUSTED_ORIGINS", "links.example.org", "'links.example.org'", ORIGINS),
        ("DATABASE_URL", "oracle://me:secret@host/name", "'oracle:…'", DATABASES),
        ("DATABASE_URL", "nonsense", "'nonsense:…'", DATABASES),
        ("DATABASE_URL", "", "':…'", DATABASES),
        ("DATABASE_URL", "postgresql://me:secret@host:port/name", "'postgresql:…'", DATABASES),
        ("DATABASE_URL", "postgresql://me:secret@host", "'postgresql:…'", DATABASES),
        ("DATABASE_URL", "postgresql://me:secret@[::1/name", "'postgresql:…'", DATABASES),
        ("CELERY_BROKER_URL", "http://me:secret@host", "'http:…'", BROKERS),
        ("CELERY_BROKER_URL", "", "':…'", BROKERS),
        ("CELERY_BROKER_URL", "rediss://:secret@h/0?ssl_cert_reqs=never", "'rediss:…ssl_cert_reqs=never'", CERT_REQS),
        ("CELERY_BROKER_URL", "rediss://:secret@h/0?ssl_ca_certs=/no/ca", "'rediss:…ssl_ca_certs=/no/ca'", CA_CERTS),
        ("CELERY_BROKER_URL", "sentinel://:secret@h:26379", "'sentinel:…'", MASTER),
        ("CELERY_RESULT_BACKEND", "sentinel://:secret@h:26379", "'sentinel:…'", MASTER),
        ("LINKING_QUEUE", "my queue", "'my queue'", QUEUE),
        ("LINKING_QUEUE", "q" * 41, repr("q" * 41), QUEUE),
        ("LINKING_OLD_QUEUE", "linking", "'linking'", OLD_QUEUE),
        ("LINKING_QUEUE_TYPE", "stream", "'stream'", "classic or quorum"),
        ("CELERY_RESULT_BACKEND", "rpc://", "'rpc:…'", BACKENDS),
        ("CELERY_RESULT_BACKEND", "cache+memcached://me:secret@host", "'cache+memcached:…'", BACKENDS),
        ("CELERY_RESULT_BACKEND", "db+postgresql://me:secret@host/name", "'db+postgresql:…'", BACKENDS),
        ("CELERY_RESULT_BACKEND", "django-cache", "'django-cache'", BACKENDS),
        ("CELERY_RESULT_BACKEND", "redis", "'redis'", BACKENDS),
        ("CELERY_RESULT_BACKEND", "", "''", BACKENDS),
        (
            "CELERY_RESULT_BACKEND",
            "rediss://:secret@h/1?ssl_ca_certs=/no/ca",
            "'rediss:…ssl_ca_certs=/no/ca'",
            CA_CERTS,
        ),
    ],
)
def test_a_value_that_cannot_be_right_stops_the_process(name: str, value: str, shown: str, expected: str) -> None:
    process = start(**{"DEBUG": "1", name: value})

    assert process.returncode != 0
    assert last_line(process) == (
        f"django.core.exceptions.ImproperlyConfigured: {name}={shown} cannot be right: expected {expected}."
    )
    assert "secret" not in process.stderr


def test_without_a_secret_key_nothing_starts_outside_development() -> None:
    process = start()

    assert process.returncode != 0
    assert "SECRET_KEY is not set: expected a long random text" in last_line(process)
    assert "DEBUG=1" in last_line(process)


@pytest.mark.parametrize("environment", [{"DEBUG": "1"}, {"DEBUG": "yes"}, {"SECRET_KEY": "long and random"}])
def test_a_laptop_needs_debug_and_a_server_a_secret_key(environment: dict[str, str]) -> None:
    process = start("assert settings.SECRET_KEY", **environment)

    assert process.returncode == 0, process.stderr


def test_the_defaults_work_on_a_laptop() -> None:
    code = """
database = settings.DATABASES["default"]
print(database["ENGINE"], database["NAME"], settings.CELERY_BROKER_URL, settings.DEBUG)
print(settings.LINKING_MAX_SUBTASKS, settings.LINKING_MAX_SLICE, settings.LINKING_MAX_MAPPING,
      settings.LINKING_MAX_RESULT_ERRORS, settings.LINKING_LOG_LEARNERS)
"""
    process = start(code, SECRET_KEY="long and random")

    assert process.stdout.splitlines() == [
        "django.db.backends.sqlite3 program-linking.sqlite3 redis://localhost:6379/0 False",
        "64 1000 100000 10000 False",
    ], process.stderr


@pytest.mark.parametrize("url", ["rediss://host/1", "amqp://me:secret@host//", "amqps://host", "redis+socket:///path"])
def test_every_kind_of_broker_is_accepted(url: str) -> None:
    code = "import celeryconfig; print(settings.CELERY_BROKER_URL, celeryconfig.broker_url)"

    assert start(code, DEBUG="1", CELERY_BROKER_URL=url).stdout.split() == [url, url]


@pytest.mark.parametrize(("scheme", "used"), [("valkey", "redis"), ("valkeys", "rediss")])
def test_valkey_is_used_by_the_protocol_of_redis(scheme: str, used: str) -> None:
    code = """
import django
django.setup()
from worker.celery import app
print(app.conf.broker_url, app.backend.url, app.connection_for_write().transport_cls)
"""
    url = f"{scheme}://host:6380/1"
    process = start(
        code, DEBUG="1", CELERY_BROKER_URL=url, CELERY_RESULT_BACKEND=url, DJANGO_SETTINGS_MODULE="worker.settings"
    )

    assert process.stdout.split() == [f"{used}://host:6380/1"] * 2 + [used], process.stderr


@pytest.mark.parametrize(
    ("value", "backend"),
    [
        ("django-db", "LedgerBackend"),
        (" django-db ", "LedgerBackend"),
        ("redis://host/1", "LedgerRedisBackend"),
        ("redis+socket:///path", "LedgerRedisBackend"),
        ("rediss://host/1", "LedgerRedisBackend"),
    ],
)
def test_results_are_stored_in_the_database_or_in_redis_and_a_certificate_is_verified(value: str, backend: str) -> None:
    code = """
import django
django.setup()
from worker.celery import app
print(type(app.backend).__name__, getattr(app.backend, "connparams", {}).get("ssl_cert_reqs"))
"""
    process = start(code, DEBUG="1", CELERY_RESULT_BACKEND=value, DJANGO_SETTINGS_MODULE="worker.settings")

    verified = "2" if value.startswith("rediss:") else "None"  # ssl.CERT_REQUIRED
    assert process.stdout.split() == [backend, verified], process.stderr


def test_the_nightly_import_is_at_two_by_default_and_the_purge_at_half_past_four() -> None:
    code = """
from worker.celery import app
print(settings.LINKING_INBOX, settings.LINKING_IMPORT_MAX_RELINKS, settings.LINKING_RETENTION_DAYS)
for name in ("import-inbox", "purge-expired-jobs"):
    entry = app.conf.beat_schedule[name]
    print(entry["task"], entry["schedule"], app.conf.timezone)
"""
    by_default = start(code, DEBUG="1").stdout.splitlines()
    changed = start(code, DEBUG="1", LINKING_IMPORT_AT="23:45", LINKING_INBOX="/not/there/yet").stdout.splitlines()

    assert by_default[0] == "None 5% 90"
    assert by_default[1].startswith("linking.import_inbox <crontab: 0 2 * * *")
    assert by_default[1].endswith("UTC")
    assert by_default[2].startswith("linking.purge_expired_jobs <crontab: 30 4 * * *")
    assert changed[0] == "/not/there/yet 5% 90"
    assert "<crontab: 45 23 * * *" in changed[1]


def test_the_pages_are_safe_behind_a_proxy_as_far_as_django_can_tell() -> None:
    code = """
import django
from django.core.management import call_command
django.setup()
call_command("check", deploy=True, fail_level="WARNING")
print(settings.SECURE_SSL_REDIRECT, settings.SESSION_COOKIE_SECURE, settings.SECURE_HSTS_SECONDS)
"""
    environment = {"DJANGO_SETTINGS_MODULE": "worker.settings", "DATABASE_URL": "sqlite://:memory:"}
    process = start(code, SECRET_KEY=secrets.token_urlsafe(50), **environment)

    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "True True 31536000"


def test_without_a_proxy_the_pages_are_reached_by_plain_http() -> None:
    code = "print(settings.SECURE_SSL_REDIRECT, settings.SESSION_COOKIE_SECURE, settings.SECURE_PROXY_SSL_HEADER)"

    for environment in ({"DEBUG": "1"}, {"SECRET_KEY": "long and random", "TLS_PROXY": "0"}):
        assert start(code, **environment).stdout.split() == ["False", "False", "None"]


@pytest.mark.parametrize(("entries", "expected"), [("100000", 64_000_000), ("1", 2**20), ("2147483647", 2**31 - 1)])
def test_the_largest_mapping_fits_into_a_request(entries: str, expected: int) -> None:
    process = start("print(settings.LINKING_MAX_REQUEST_BYTES)", SECRET_KEY="any", LINKING_MAX_MAPPING=entries)

    assert process.stdout.split() == [str(expected)]
