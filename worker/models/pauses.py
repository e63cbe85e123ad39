"""Pauses: what is stopped until a person, or a service, resumes it."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q


class Pause(models.Model):
    """A job, a program or everything: none of its learners is linked from the next slice on."""

    class Kind(models.TextChoices):
        """Kinds of pauses, by what is paused."""

        EVERYTHING = "everything"
        PROGRAM = "program"
        JOB = "job"

    kind = models.CharField(max_length=10, choices=Kind)
    target = models.UUIDField()  # The program, or the id of the job; of everything the UUID whose digits are 0.
    paused_by = models.CharField(max_length=255)  # A user of the pages, of the system, or a service.
    reason = models.CharField(max_length=255, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "target"], name="pause_unique_target")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"pause of {self.subject}"

    @property
    def subject(self) -> str:
        """The text that names what is paused."""
        return "everything" if self.kind == self.Kind.EVERYTHING else f"{self.kind} {self.target}"


EVERYTHING = UUID(int=0)
"""The target of the pause of everything."""


def pauses_of(job: str = "") -> "models.QuerySet[Pause]":
    """Return the pauses of the job in the outer query, which ``job`` leads to: empty, or a field and ``__``.

    There are as many rows as people made: the condition is one more in a statement that is run anyway.
    """
    return Pause.objects.filter(
        Q(kind=Pause.Kind.EVERYTHING)
        | Q(kind=Pause.Kind.PROGRAM, target=OuterRef(f"{job}program_uuid"))
        | Q(kind=Pause.Kind.JOB, target=OuterRef(f"{job}id"))
    )


def is_paused(job: str = "") -> Exists:
    """Return the condition that the job which ``job`` leads to is paused; see :func:`pauses_of`."""
    return Exists(pauses_of(job))
