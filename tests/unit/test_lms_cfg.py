"""``LMS_CFG``: database and broker come from the LMS's own YAML, and errors name the file and the key."""

import json
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.unit.test_settings import last_line, start
from worker.lms.config import LMSConfig

TUTOR = """
DATABASES:
  default:
    ENGINE: "django.db.backends.mysql"
    HOST: "mysql"
    PORT: 3306
    NAME: "openedx"
    USER: "openedx"
    PASSWORD: "p@ss: /word"
    ATOMIC_REQUESTS: true
    OPTIONS:
      charset: "utf8mb3"
      init_command: "SET sql_mode='STRICT_TRANS_TABLES'"
CELERY_BROKER_TRANSPORT: "redis"
CELERY_BROKER_HOSTNAME: "redis:6379"
CELERY_BROKER_VHOST: "0"
CELERY_BROKER_USER: ""
CELERY_BROKER_PASSWORD: ""
CACHES: {default: {KEY_PREFIX: "default", VERSION: "1"}}
"""
SHOW = """
import json
import celeryconfig
database = settings.DATABASES["default"]
print(json.dumps([
    settings.LINKING_LMS,
    [database[name] for name in ("ENGINE", "HOST", "PORT", "NAME", "USER", "PASSWORD")],
    {name: database["OPTIONS"].get(name) for name in ("charset", "init_command")},
    settings.CELERY_BROKER_URL, celeryconfig.broker_url,
]))
"""


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "lms.env.yml"
    path.write_text(TUTOR, encoding="utf-8")
    return path


def test_the_file_that_tutor_writes_names_database_and_broker(cfg: Path) -> None:
    process = start(SHOW, DEBUG="1", LMS_CFG=str(cfg))

    assert process.returncode == 0, process.stderr
    is_lms, database, options, *brokers = json.loads(process.stdout)
    assert is_lms
    assert database == ["linking.sql.char_uuids", "mysql", 3306, "openedx", "openedx", "p@ss: /word"]
    assert options["charset"] is None  # utf8mb4, Django's default.
    assert options["init_command"].startswith(
        "SET sql_mode='STRICT_TRANS_TABLES'; SET SESSION sql_mode = 'TRADITIONAL'"
    )
    assert brokers == ["redis://redis:6379/0"] * 2


def test_variables_of_our_own_go_first(cfg: Path) -> None:
    ours = {"DATABASE_URL": "mysql://me@db:3307/copy", "CELERY_BROKER_URL": "redis://ours/3"}
    code = "import celeryconfig; print(settings.DATABASES['default']['HOST'], celeryconfig.broker_url)"

    assert start(code, DEBUG="1", LMS_CFG=str(cfg), **ours).stdout.split() == ["db", "redis://ours/3"]


@pytest.mark.parametrize(
    ("old", "new", "url"),
    [
        ('VHOST: "0"', "VHOST: 4", "redis://redis:6379/4"),
        ('PASSWORD: ""', 'PASSWORD: "a/b@c"', "redis://:a%2Fb%40c@redis:6379/0"),
        ('USER: ""', 'USER: "me"', "redis://me:@redis:6379/0"),
        ("CACHES:", "CELERY_BROKER_USE_SSL: true\nCACHES:", "rediss://redis:6379/0"),
        ('TRANSPORT: "redis"', 'TRANSPORT: "amqp"', "amqp://redis:6379/0"),
        ('TRANSPORT: "redis"\nCELERY_BROKER_HOSTNAME: "redis:6379"\nCELERY_BROKER_VHOST: "0"',
         'TRANSPORT: "amqp"\nCELERY_BROKER_HOSTNAME: "rabbit"\nCELERY_BROKER_VHOST: "/"', "amqp://rabbit/"),
    ],
)  # fmt: skip
def test_the_broker_of_the_lms(cfg: Path, old: str, new: str, url: str) -> None:
    cfg.write_text(TUTOR.replace(old, new), encoding="utf-8")

    assert LMSConfig(cfg).broker_url() == url


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("    PORT: 3306", "    PORT: x3306", "DATABASES.default.PORT: expected a number."),
        ('    NAME: "openedx"\n', "", "DATABASES.default.NAME is missing: expected a text."),
        ('    HOST: "mysql"', "    HOST: [mysql]", "DATABASES.default.HOST: expected a text."),
        ("django.db.backends.mysql", "oracle", "DATABASES.default.ENGINE: expected django.db.backends.mysql or"),
        ("  default:", "  replica:", "DATABASES.default: expected ENGINE, NAME, USER, PASSWORD, HOST and PORT."),
        ("DATABASES:", "DATABASE:", "DATABASES.default: expected ENGINE, NAME, USER, PASSWORD, HOST and PORT."),
        ("charset:", "- charset:", "line 13: no YAML: expected the LMS's configuration, such as Tutor's lms.env.yml."),
        ('TRANSPORT: "redis"', 'TRANSPORT: "sqs"', "CELERY_BROKER_TRANSPORT: expected one of redis,"),
        ('CELERY_BROKER_HOSTNAME: "redis:6379"\n', "", "CELERY_BROKER_HOSTNAME is missing: expected a text."),
        (TUTOR, "word", "it has no keys: expected the LMS's configuration, such as Tutor's lms.env.yml."),
        ('    PASSWORD: "p@ss: /word"', "    PASSWORD: [word]", "DATABASES.default.PASSWORD: expected a text."),
        ('    PASSWORD: "p@ss: /word"', '    PASSWORD: "p@ss: /word', "line 12: no YAML: expected the LMS's"),
    ],
)
def test_a_fault_is_named_by_file_and_key_and_no_password_is_shown(cfg: Path, old: str, new: str, fault: str) -> None:
    assert old in TUTOR
    cfg.write_text(TUTOR.replace(old, new), encoding="utf-8")

    with pytest.raises(ImproperlyConfigured) as refused:  # noqa: PT012 - either may refuse
        config = LMSConfig(cfg)
        config.database()
        config.broker_url()

    assert str(refused.value).startswith(f"LMS_CFG={cfg}: {fault}")
    assert refused.value.__suppress_context__  # YAML's own error quotes the line.
    assert "word" not in str(refused.value).replace("PASSWORD", "")


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({"LMS_CFG": "/no/such.yml"}, "LMS_CFG='/no/such.yml' cannot be right: expected the path of the LMS's YAML,"),
        ({"LINKING_LMS": "1"}, "LINKING_LMS='1' cannot be right: expected the LMS's database: DATABASE_URL=mysql://"),
        ({"LINKING_LMS": "maybe"}, "LINKING_LMS='maybe' cannot be right: expected 1 or 0."),
    ],
)
def test_a_mode_without_an_lms_is_refused(environment: dict[str, str], fault: str) -> None:
    assert fault in last_line(start(DEBUG="1", **environment))


def test_the_tables_of_an_lms_are_never_taken_for_ours(cfg: Path) -> None:
    process = start(DEBUG="1", LMS_CFG=str(cfg), LINKING_LMS="0")

    assert "LINKING_LMS='0' cannot be right: expected 1, or no LMS_CFG" in last_line(process)


FILTER = "OPEN_EDX_FILTERS_CONFIG:\n  org.openedx.learning.course.enrollment.started.v1: "


@pytest.mark.parametrize("steps", ["{fail_silently: false, pipeline: [shop.Refuse]}", "[shop.Refuse]", "shop.Refuse"])
def test_filters_that_may_refuse_an_enrollment_are_refused(cfg: Path, steps: str) -> None:
    cfg.write_text(TUTOR + FILTER + steps, encoding="utf-8")

    with pytest.raises(ImproperlyConfigured) as refused:
        LMSConfig(cfg).refuse_enrollment_filters()

    assert str(refused.value).startswith(f"LMS_CFG={cfg}: OPEN_EDX_FILTERS_CONFIG has steps for org.openedx.")
    assert "LINKING_IGNORE_ENROLLMENT_FILTERS=1" in str(refused.value)
    assert "shop" not in str(refused.value)


@pytest.mark.parametrize(
    "filters", ["", FILTER + "{pipeline: []}", FILTER.replace("course.enrollment", "login") + "[x]"]
)
def test_other_filters_are_not_refused(cfg: Path, filters: str) -> None:
    cfg.write_text(TUTOR + filters, encoding="utf-8")

    LMSConfig(cfg).refuse_enrollment_filters()


def test_nothing_starts_with_such_filters_unless_they_are_to_be_ignored(cfg: Path) -> None:
    cfg.write_text(TUTOR + FILTER + "[shop.Refuse]", encoding="utf-8")

    refused = start("", DEBUG="1", LMS_CFG=str(cfg))
    assert refused.returncode == 1
    assert "OPEN_EDX_FILTERS_CONFIG" in last_line(refused)
    assert start("", DEBUG="1", LMS_CFG=str(cfg), LINKING_IGNORE_ENROLLMENT_FILTERS="1").returncode == 0
