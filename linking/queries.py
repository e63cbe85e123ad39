"""Queries of program enrollments for other programs."""

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from linking import models

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet


def fetch_program_enrollments(
    program_uuid: UUID | str,
    *,
    curriculum_uuids: Collection[UUID | str] | None = None,
    users: Collection["User"] | None = None,
    external_user_keys: Collection[str] | None = None,
    program_enrollment_statuses: Collection[str] | None = None,
    realized_only: bool = False,
    waiting_only: bool = False,
) -> "QuerySet[models.ProgramEnrollment]":
    """Return the enrollments of a program that pass every filter that is not None.

    Raises:
        ValueError: both ``realized_only`` and ``waiting_only``, or a None among the keys.
    """
    if realized_only and waiting_only:
        msg = "realized_only and waiting_only exclude each other: pass one of them, or neither."
        raise ValueError(msg)
    if external_user_keys is not None and None in external_user_keys:
        msg = "external_user_keys holds a None: an enrollment without a key cannot be asked for by key."
        raise ValueError(msg)
    filters: dict[str, object] = {
        "curriculum_uuid__in": curriculum_uuids,
        "user__in": users,
        "external_user_key__in": external_user_keys,
        "status__in": program_enrollment_statuses,
        "user__isnull": waiting_only if realized_only or waiting_only else None,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    return models.ProgramEnrollment.objects.filter(program_uuid=program_uuid, **given)
