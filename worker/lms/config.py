"""The LMS's own configuration (``LMS_CFG``), a YAML file such as Tutor's ``lms.env.yml``: its database and its broker.

Errors name the file and the key, never a value: it may be a password.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import yaml
from django.core.exceptions import ImproperlyConfigured

SCHEMES = {"django.db.backends.mysql": "mysql", "django.db.backends.postgresql": "postgresql"}
"""Scheme of a database's address by Django's ``ENGINE``; of any other module, its last name."""
PORTS = {"mysql": 3306, "postgresql": 5432}
TRANSPORTS = {"redis": "rediss", "rediss": "rediss", "amqp": "amqps", "amqps": "amqps", "pyamqp": "amqps"}
"""Schemes of brokers, and those with TLS."""
ENROLLMENT_FILTER = "org.openedx.learning.course.enrollment.started.v1"
"""The filter ``CourseEnrollmentStarted`` of openedx-filters."""


class LMSConfig:
    """The values of an LMS's configuration file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(f"it cannot be read ({type(error).__name__}): expected the path of the LMS's YAML")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}: " if mark else ""
            self._refuse(f"{place}no YAML: expected the LMS's configuration, such as Tutor's lms.env.yml")
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        if not self._values:
            self._refuse("it has no keys: expected the LMS's configuration, such as Tutor's lms.env.yml")

    def database(self) -> tuple[str, dict[str, Any]]:
        """Return the scheme of ``DATABASES.default``, and what Django needs to reach it."""
        prefix = "DATABASES.default"
        databases = self._values.get("DATABASES")
        default = databases.get("default") if isinstance(databases, Mapping) else None
        if not isinstance(default, Mapping):
            self._refuse(f"{prefix}: expected ENGINE, NAME, USER, PASSWORD, HOST and PORT")
        engine = self._text(default, "ENGINE", prefix)
        if engine not in SCHEMES:
            self._refuse(f"{prefix}.ENGINE: expected {' or '.join(SCHEMES)}")
        scheme = SCHEMES[engine]
        options = default.get("OPTIONS") or {}
        if not isinstance(options, Mapping):
            self._refuse(f"{prefix}.OPTIONS: expected keys and values, such as init_command: …")
        # Not the charset: ours is utf8mb4 even if the LMS's is still utf8mb3, or keys would be cut or refused.
        kept = {name: value for name, value in options.items() if name != "charset"}
        return scheme, {
            "ENGINE": engine,
            "NAME": self._text(default, "NAME", prefix),
            "USER": self._text(default, "USER", prefix),
            "PASSWORD": self._text(default, "PASSWORD", prefix, default=""),
            "HOST": self._text(default, "HOST", prefix),
            "PORT": self._number(default, "PORT", prefix, PORTS[scheme]),
            "OPTIONS": kept,
        }

    def broker_url(self) -> str:
        """Return the address of the broker: ``CELERY_BROKER_TRANSPORT``, ``_HOSTNAME``, ``_VHOST`` and so on."""
        transport = self._text(self._values, "CELERY_BROKER_TRANSPORT")
        if transport not in TRANSPORTS:
            self._refuse(f"CELERY_BROKER_TRANSPORT: expected one of {', '.join(TRANSPORTS)}")
        if self._values.get("CELERY_BROKER_USE_SSL"):
            transport = TRANSPORTS[transport]
        host = self._text(self._values, "CELERY_BROKER_HOSTNAME")
        path = self._text(self._values, "CELERY_BROKER_VHOST", default="").strip("/")
        user = quote(self._text(self._values, "CELERY_BROKER_USER", default=""), safe="")
        password = quote(self._text(self._values, "CELERY_BROKER_PASSWORD", default=""), safe="")
        account = f"{user}:{password}@" if user or password else ""
        return f"{transport}://{account}{host}/{quote(path, safe='')}"

    def refuse_enrollment_filters(self) -> None:
        """Raise ImproperlyConfigured if a filter may refuse or change an enrollment: linking cannot ask it."""
        filters = self._values.get("OPEN_EDX_FILTERS_CONFIG")
        configured = filters.get(ENROLLMENT_FILTER) if isinstance(filters, Mapping) else None
        if configured.get("pipeline") if isinstance(configured, Mapping) else configured:
            self._refuse(
                f"OPEN_EDX_FILTERS_CONFIG has steps for {ENROLLMENT_FILTER}, which may refuse or change enrollments and"
                " are not run by this worker: expected none, or LINKING_IGNORE_ENROLLMENT_FILTERS=1 if they need not"
                " run"
            )

    def _text(self, values: Mapping[str, Any], key: str, prefix: str = "", default: str | None = None) -> str:
        """Return a text; YAML takes some for numbers."""
        value = values.get(key, default)
        name = f"{prefix}.{key}" if prefix else key
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int) or (value == "" and default is None):
            self._refuse(f"{name}: expected a text" if key in values else f"{name} is missing: expected a text")
        return str(value)

    def _number(self, values: Mapping[str, Any], key: str, prefix: str, default: int) -> int:
        text = self._text(values, key, prefix, default="") or str(default)
        if not (text.isdecimal() and int(text) < 2**16):
            self._refuse(f"{prefix}.{key}: expected a number")
        return int(text)

    def _refuse(self, fault: str) -> NoReturn:
        msg = f"LMS_CFG={self._path}: {fault}."
        raise ImproperlyConfigured(msg) from None
