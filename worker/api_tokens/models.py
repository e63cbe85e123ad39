"""Tokens of the HTTP API, and what is left of the allowances of its clients."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens by what they are good for."""

    def valid(self) -> "ApiTokenQuerySet":
        """Return the tokens that are neither revoked nor expired."""
        return self.filter(Q(expires=None) | Q(expires__gt=timezone.now()), revoked=None)


class ApiToken(models.Model):
    """A token of the HTTP API. Its secret is shown once, when it is created; the table has the secret's hash only."""

    MAX_NAME = 100

    # Identifies the token in lists, logs and the source of its jobs.
    name = models.CharField(
        max_length=MAX_NAME, unique=True, help_text="The service that uses it, such as sis-production."
    )
    # SHA-256 of the secret, in hex. The secret is 256 random bits, so that neither salt nor stretching adds anything.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # The scopes.
    can_submit = models.BooleanField(default=False, help_text="Scope submit: may link learners.")
    can_read = models.BooleanField(default=False, help_text="Scope read: may read jobs and their errors.")
    programs = models.JSONField(  # UUIDs in their usual form.
        default=list, blank=True, help_text='UUIDs of the only programs that it is for, ["…", "…"]; []: all.'
    )
    requests_per_minute = models.PositiveIntegerField(default=600)  # At least 1.
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked = models.DateTimeField(null=True, editable=False)
    last_used = models.DateTimeField(null=True, editable=False)  # Written at most once a minute.

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        default_permissions = ("add", "change", "view")  # A revoked token stays, for the record.

    def __str__(self) -> str:
        return f"token {self.name}"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names of its scopes."""
        return tuple(name for name in ("submit", "read") if getattr(self, f"can_{name}"))

    @property
    def state(self) -> str:
        """Whether the token is valid, in one word."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and self.expires <= timezone.now() else "valid"


class Allowance(models.Model):
    """The requests that a token, or a group of addresses, has left: see :mod:`worker.api_tokens.allowances`."""

    key = models.CharField(max_length=30, primary_key=True)  # The token or the group of addresses.
    # When the allowance is whole again, in microseconds since 1970 UTC.
    whole_at = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"allowance of {self.key}"
