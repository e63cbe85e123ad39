"""Attempts at requests that are not in the ledger yet: a count that survives the worker."""

from django.db import transaction

from worker.models import RequestAttempts


def begin_attempt(task_id: str) -> int:
    """Count an attempt before it begins; return how many did not end before it, and this one."""
    with transaction.atomic():
        row, _ = RequestAttempts.objects.select_for_update().get_or_create(task_id=task_id)
        row.attempts += 1
        row.save()
    return row.attempts


def end_attempts(task_id: str) -> None:
    """Forget the attempts at a request: the last one did not end its worker."""
    RequestAttempts.objects.filter(task_id=task_id).delete()
