"""Checks of the URLs of brokers and result backends, before anything connects."""

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kombu.utils.url import parse_url

from worker.environment import refuse

BROKERS = {"redis", "rediss", "redis+socket", "valkey", "valkeys", "sentinel", "amqp", "amqps", "pyamqp"}
RESULT_BACKENDS = {"redis", "rediss", "redis+socket", "valkey", "valkeys", "sentinel"}
EVENT_BROKERS = BROKERS - {"sentinel"}  # It would need a master's name and passwords of its own.
QUEUE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)


def check_url(name: str, text: str, schemes: set[str], sentinel_master: str) -> str:
    """Return the URL of a broker or of a result backend, with Redis' scheme for Valkey.

    Args:
        name: name of the variable that has the URL.
        text: the URL; those of Sentinels have semicolons between them.
        schemes: those that are accepted.
        sentinel_master: value of LINKING_SENTINEL_MASTER.

    Raises:
        ValueError: another scheme.
        ImproperlyConfigured: another part cannot be right.
    """
    url = urlsplit(text)
    if url.scheme not in schemes:
        raise ValueError
    if url.scheme == "sentinel":
        if not sentinel_master:
            refuse(name, "sentinel:…", "LINKING_SENTINEL_MASTER to name the master that the Sentinels monitor")
        if not all(part.startswith("sentinel://") for part in text.split(";")):
            refuse(name, "sentinel:…", "sentinel://host:26379;sentinel://host:26379/0, each with its scheme")
    for option, value in parse_qsl(url.query):
        shown = f"{url.scheme}:…{option}={value}"
        if option == "ssl_cert_reqs" and value not in {"required", "optional", "none"}:
            refuse(name, shown, "ssl_cert_reqs=required, optional or none")
        if option in {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"} and not Path(value).is_file():
            refuse(name, shown, f"{option} to be the path of a file")
    return by_redis_protocol(text)


def tls_options(url: str) -> dict[str, Any] | None:
    """Return what a connection to a broker needs to verify its certificate and host name; None without TLS."""
    if url.startswith("rediss:"):
        # Without options kombu would accept any certificate. Flower reads them here, not in the URL.
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **parse_url(url).get("ssl", {})}
    if url.startswith("amqps:"):
        # Without options the host name would not be verified. None: kombu inserts the broker's host name.
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    return None


def by_redis_protocol(url: str) -> str:
    """Return a URL with Redis' scheme for Valkey, which speaks Redis' protocol."""
    return re.sub("^valkey(s?):", r"redis\1:", url)
