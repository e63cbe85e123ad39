"""The engine of the sessions (``SESSION_ENGINE``)."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession

from worker.lms.sessions.models import Session


class SessionStore(db.SessionStore):
    """Sessions in our own table."""

    @classmethod
    def get_model_class(cls) -> type[AbstractBaseSession]:
        """Return the model of the sessions."""
        return Session
