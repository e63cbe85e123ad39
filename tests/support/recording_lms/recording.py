"""Write records of calls; nothing else is done by a stand-in that the reference and the plug-in both call."""

from typing import Any

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from opaque_keys.edx.keys import CourseKey


def note(user_id: int | None, what: str, **details: Any) -> None:
    """Record a call."""
    from tests.support.recording_lms.models import Record  # noqa: PLC0415 - the cache is made before the models

    plain = {name: as_plain(value) for name, value in details.items()}
    Record.objects.create(user_id=user_id, what=what, details=plain)


def as_plain(value: Any) -> Any:
    """Return a value as JSON, in which a course key is marked: the platform's receivers need keys, not texts."""
    if isinstance(value, CourseKey):
        return {"key": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(name): as_plain(item) for name, item in value.items()}
    return repr(value)


class RecordedTask:
    """A task of the platform that is sent, but not run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def apply_async(self, args: Any = (), kwargs: Any = None, **options: Any) -> None:
        """Record the message."""
        kwargs = dict(kwargs or {})
        note(kwargs.get("user_id"), "task", name=self.name, args=list(args), kwargs=kwargs, options=options)

    def delay(self, *args: Any, **kwargs: Any) -> None:
        """Record the message."""
        self.apply_async(args, kwargs)


class RecordingCache(DummyCache, BaseCache):
    """A cache that records what is deleted from it; the user is found by the key."""

    def delete(self, key: str, version: int | None = None) -> bool:
        """Record a deletion."""
        from django.contrib.auth.models import User  # noqa: PLC0415 - as above

        self.make_and_validate_key(key, version=version)
        if key.startswith("enrollment_status_hash_"):
            names = User.objects.filter(username=key.removeprefix("enrollment_status_hash_"))
            user_id = next((user.pk for user in names if key.endswith(f"_{user.username}")), None)
        else:
            user_id = int(key.split(".")[1])
        note(user_id, "cache delete", key=key, version=version)
        return True

    def delete_many(self, keys: Any, version: int | None = None) -> None:
        """Record each deletion."""
        for key in keys:
            self.delete(key, version)
