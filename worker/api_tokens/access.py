"""Creation, look-up and revocation of tokens."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from worker.api_tokens.models import ApiToken

PREFIX = "linking_"
"""The beginning of each secret, by which scanners of repositories and logs recognise one."""
SECRET = re.compile(rf"{PREFIX}[\w-]{{43}}", re.ASCII)
USE_INTERVAL = timedelta(minutes=1)
"""Least time between two writes of ``last_used``."""


def issue(token: ApiToken) -> str:
    """Save a new token; return its secret, which cannot be read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token.digest = _digest(secret)
    token.save()
    return secret


def find_token(secret: str) -> ApiToken | None:
    """Return the valid token of a secret.

    The hash is looked up, not the secret: the time that this takes says nothing about the secrets that exist.
    """
    if not SECRET.fullmatch(secret):
        return None
    return ApiToken.objects.valid().filter(digest=_digest(secret)).first()


def note_use(token: ApiToken) -> None:
    """Write that a token was used, unless that was written in the last minute."""
    now = timezone.now()
    unnoted = Q(last_used=None) | Q(last_used__lt=now - USE_INTERVAL)
    if token.last_used is None or token.last_used < now - USE_INTERVAL:
        ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used=now)


def revoke(found: Iterable[ApiToken]) -> int:
    """Revoke tokens, at once and for ever; return the number of those that were not revoked before."""
    keys = [token.pk for token in found]
    return ApiToken.objects.filter(pk__in=keys, revoked=None).update(revoked=timezone.now())


def check_programs(programs: object) -> list[str]:
    """Return a list of programs in their usual form.

    Raises:
        ValueError: it is not a list of UUIDs.
    """
    try:
        return [str(UUID(program)) for program in ([*programs] if isinstance(programs, list) else [None])]
    except (AttributeError, TypeError, ValueError):
        msg = "expected a list of UUIDs."
        raise ValueError(msg) from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
