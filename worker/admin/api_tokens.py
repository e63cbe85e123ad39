"""Tokens of the HTTP API in the admin: created, shown once, revoked; never edited."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from worker.admin.actions import RUN, VIEW
from worker.api_tokens.access import check_programs, issue, revoke
from worker.api_tokens.models import ApiToken

if TYPE_CHECKING:
    from django.db.models import QuerySet

NEEDED = {"can_submit": (VIEW, RUN), "can_read": (VIEW,)}
"""Permissions that a user needs to give a token a scope: nobody gives a token more than they may do themselves."""


class TokenForm(forms.ModelForm):  # type: ignore[type-arg] # Not generic at run time.
    """A new token."""

    requests_per_minute = forms.IntegerField(min_value=1, max_value=1_000_000, initial=600)

    def clean(self) -> dict[str, Any]:
        """Refuse a token without a scope, and programs that are no UUIDs."""
        fields = super().clean() or {}
        if not (fields.get("can_submit") or fields.get("can_read")):
            self.add_error(None, "A token without a scope may do nothing: give it submit, read, or both.")
        if "programs" in fields:
            try:
                fields["programs"] = check_programs(fields["programs"] or [])
            except ValueError as error:
                self.add_error("programs", str(error))
        return fields


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # Not generic at run time.
    """Tokens: their secrets are shown once, and cannot be read again."""

    form = TokenForm
    list_display = ("name", "state", "scopes_shown", "requests_per_minute", "created", "expires", "last_used")
    search_fields = ("name",)
    ordering = ("name",)
    actions = ("revoke_tokens",)
    readonly_fields: ClassVar = ["state", "revoked", "last_used"]

    def has_delete_permission(self, *_: object, **__: object) -> bool:
        """Deny it, even to a superuser: a revoked token stays, for the record."""
        return False

    @admin.display(description="scopes")
    def scopes_shown(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    def get_fields(self, _: HttpRequest, obj: ApiToken | None = None) -> Any:
        new = ["name", "can_submit", "can_read", "programs", "requests_per_minute", "expires"]
        return [*new, *self.readonly_fields] if obj else new

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return self.get_fields(request, obj) if obj else []

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Save a new token, with a secret."""
        if change:
            return
        for field, permissions in NEEDED.items():
            if getattr(obj, field) and not request.user.has_perms(permissions):
                raise PermissionDenied
        request.secret = issue(obj)  # type: ignore[attr-defined] # for response_add

    def response_add(self, request: HttpRequest, obj: ApiToken, *_: Any, **__: Any) -> HttpResponse:
        """Show the secret, in this response only: a message or a redirect would store it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Token {obj.name}",
            "secret": request.secret,  # type: ignore[attr-defined] # save_model
        }
        return TemplateResponse(request, "admin/api_tokens/apitoken/secret.html", context)

    @admin.action(description="Revoke the selected tokens", permissions=["change"])
    def revoke_tokens(self, request: HttpRequest, found: "QuerySet[ApiToken]") -> None:
        for token in found.filter(revoked=None):
            self.log_change(request, token, "Revoked.")
        number = revoke(found)
        messages.success(request, f"{number} tokens were revoked.")
