"""Users, as openedx-events describe them."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from openedx_events.learning.data import UserData, UserPersonalData


def user_data(user: Any, *, with_name: bool = True) -> UserData:
    """Return the data of a user as they are now; the name is empty for a user without a profile."""
    name = {"name": _full_name(user)} if with_name else {}
    personal = UserPersonalData(username=user.username, email=user.email, **name)
    return UserData(pii=personal, id=user.pk, is_active=user.is_active)


def is_retired(user: Any) -> bool:
    """Return whether the LMS has retired a user: its name was replaced, and nothing may be sent about it."""
    prefix = getattr(settings, "RETIRED_USERNAME_PREFIX", "")
    return bool(prefix) and user.username.startswith(prefix)


def _full_name(user: Any) -> str:
    try:
        return user.profile.name or ""
    except ObjectDoesNotExist:
        return ""
