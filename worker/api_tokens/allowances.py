"""Limits on requests per minute, shared by all server processes: one row for each token, and for groups of addresses.

A row has the time at which the allowance is whole again. A request moves it on by its share of a minute, if it stays
within a minute from now: a client may send all requests of a minute at once, and has them back bit by bit. That is one
UPDATE, in which the database decides between requests that come at the same time.
"""

import hashlib
import time
from ipaddress import IPv6Address, ip_address

from django.db.models import BigIntegerField, F, Value
from django.db.models.functions import Greatest

from worker.api_tokens.models import Allowance, ApiToken

MINUTE = 60_000_000
"""Microseconds."""
FAILURES_PER_MINUTE = 30
"""Most failed authentications from one address in a minute."""
GROUPS = 2**16
"""Groups of addresses: however many addresses attack, the table stays small, and holds no address."""


def charge_token(token: ApiToken) -> float:
    """Charge a request to a token; return 0, or the seconds until it may send one."""
    return _charge(f"token {token.pk}", token.requests_per_minute)


def charge_failure(address: str) -> float:
    """Charge a failed authentication to the address of its client; return 0, or the seconds until one is allowed."""
    digest = hashlib.sha256(_network(address).encode()).digest()
    return _charge(f"address {int.from_bytes(digest) % GROUPS}", FAILURES_PER_MINUTE)


def _network(address: str) -> str:
    """Return the address, or of an IPv6 address its first 64 bits: a client has all addresses that share them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) and not parsed.ipv4_mapped else address


def _charge(key: str, per_minute: int) -> float:
    now = time.time_ns() // 1_000
    cost = MINUTE // per_minute
    latest = now + MINUTE - cost
    spendable = Allowance.objects.filter(pk=key, whole_at__lte=latest)
    begin = Greatest(F("whole_at"), Value(now, output_field=BigIntegerField()))
    while not spendable.update(whole_at=begin + cost):
        whole_at = Allowance.objects.filter(pk=key).values_list("whole_at", flat=True).first()
        if whole_at is None:
            Allowance.objects.bulk_create([Allowance(key=key)], ignore_conflicts=True)
        elif whole_at > latest:
            return (whole_at - latest) / 1_000_000
    return 0
