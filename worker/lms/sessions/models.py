"""The table of the sessions."""

from django.contrib.sessions.base_session import AbstractBaseSession


class Session(AbstractBaseSession):
    """A session of the pages."""

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"session until {self.expire_date}"

    @classmethod
    def get_session_store_class(cls) -> type:
        """Return the class that reads and writes sessions."""
        from worker.lms.sessions.store import SessionStore  # noqa: PLC0415 - it imports this model

        return SessionStore
