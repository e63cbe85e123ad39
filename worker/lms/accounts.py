"""Staff of the LMS sign in to the pages with their accounts there, which we read and never write."""

import unicodedata
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model, hashers
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, Group
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest


class AccountBackend(ModelBackend):
    """Checks a password against the LMS's hash.

    Django's own backend would replace the hash where the LMS's number of iterations is not that of our Django.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any
    ) -> Any:
        """Return the account with a username and a password, if it may sign in."""
        if username is None or password is None:
            return None
        user = get_user_model().objects.filter(username=username).first()
        normal = unicodedata.normalize("NFKC", password)  # As the LMS does before it hashes.
        if user is None:
            hashers.make_password(normal)  # As slow as a wrong password: nobody finds out which accounts exist.
            return None
        return user if hashers.check_password(normal, user.password) and self.user_can_authenticate(user) else None


def leave_accounts_to_the_lms() -> None:
    """Offer no page that changes accounts, and write no time of the last login."""
    user_logged_in.disconnect(dispatch_uid="update_last_login")
    accounts: tuple[type[AbstractBaseUser | Group], ...] = (get_user_model(), Group)
    for model in accounts:
        if admin.site.is_registered(model):
            admin.site.unregister(model)
