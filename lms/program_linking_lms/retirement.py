"""Retirement of users: the worker forgets them, too."""

from typing import Any

from program_linking_lms import platform
from program_linking_lms.worker import FORGET, send_to_worker


def forget_user(user: Any, **_: Any) -> None:
    """Let the worker remove a user, and the keys of the user's program enrollments, from ledger, results and files.

    Raises:
        Exception: the message cannot be sent. The retirement fails, and is to be repeated.
    """
    send_to_worker(FORGET, *dict.fromkeys([user.username, *platform.external_user_keys(user)]))
