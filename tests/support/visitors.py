"""Requests to the admin's pages without a browser."""

from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from worker.models import LinkingJob

VIEW, RUN, UNDO = "view_linkingjob", "run_linkingjob", "undo_linkingjob"
HEADER = "external_user_key,lms_username\n"

BY_TLS = {"X-Forwarded-Proto": "https"}
"""The header of the TLS proxy; without it the pages redirect."""


def visitor(*permissions: str) -> Client:
    """Return a client that is logged in as a user of the admin with these permissions."""
    user = get_user_model().objects.create(username=f"staff-{uuid4().hex[:8]}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(headers=BY_TLS)
    client.force_login(user)
    return client


def superuser(**options: Any) -> Client:
    """Return a client that is logged in as a superuser."""
    client = Client(headers=BY_TLS, **options)
    client.force_login(get_user_model().objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def page(name: str, job: LinkingJob | None = None, *more: str) -> str:
    """Return the address of a page."""
    return reverse(f"admin:worker_linkingjob_{name}", args=[job.pk, *more] if job else [])


def press(client: Client, job: LinkingJob, button: str, job_id: UUID | None = None, **fields: str) -> Any:
    """Confirm the action of a button."""
    return client.post(page("button", job, button), {"job_id": str(job_id or uuid4()), **fields})


def press_and_read(client: Client, job: LinkingJob, button: str, job_id: UUID | None = None, **fields: str) -> str:
    """Confirm a button; return the error in its form, or the first message of the page that follows."""
    response = press(client, job, button, job_id, **fields)
    if response.status_code == HTTPStatus.OK:
        (error, *_), *_ = response.context["form"].errors.values()
        return str(error)
    return messages_of(client.get(response.url))[0]


def upload(client: Client, content: str | bytes, upload_id: UUID | None = None, **fields: str) -> Any:
    """Send a file."""
    content = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("roster.csv", content, content_type="text/csv")
    return client.post(page("upload"), {"upload_id": str(upload_id or uuid4()), "file": file, **fields})


def messages_of(response: Any) -> list[str]:
    """Return the messages of a page."""
    return [str(message) for message in response.context["messages"]]
