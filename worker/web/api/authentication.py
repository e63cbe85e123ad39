"""Authentication by token, and limits on requests. Cookies count for nothing here, so no request can be forged."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest
from ninja.security.http import HttpAuthBase

from worker.api_tokens.access import find_token, note_use
from worker.api_tokens.allowances import charge_failure, charge_token
from worker.api_tokens.models import ApiToken
from worker.web.api.problems import ProblemError, retry_after

UNKNOWN = "the header Authorization must be 'Bearer TOKEN', with a token that is neither revoked nor expired."


class TokenAuth(HttpAuthBase):
    """Requires a token with a scope."""

    openapi_scheme = "bearer"

    def __init__(self, scope: str) -> None:
        self._scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> ApiToken:
        """Return the token of a request.

        Raises:
            ProblemError: there is no valid token, it lacks the scope, or it has sent too many requests.
        """
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        token = find_token(secret.strip()) if scheme.lower() == self.openapi_scheme else None
        if token is None:
            raise _unauthenticated(request)
        note_use(token)
        if wait := charge_token(token):
            msg = f"token {token.name} may send {token.requests_per_minute:,} requests a minute: wait."
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, msg, retry_after(wait))
        if self._scope not in token.scopes:
            msg = f"token {token.name} has not the scope {self._scope}."
            challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{self._scope}"'}
            raise ProblemError(HTTPStatus.FORBIDDEN, msg, challenge)
        return token


def _unauthenticated(request: HttpRequest) -> ProblemError:
    """Return the refusal of a request without a valid token; a client that sends many must wait.

    A valid token is never refused because of its address: behind one proxy, one client could lock out the others.
    """
    if wait := charge_failure(client_address(request)):
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests without a valid token.", retry_after(wait))
    return ProblemError(HTTPStatus.UNAUTHORIZED, UNKNOWN, {"WWW-Authenticate": "Bearer"})


def client_address(request: HttpRequest) -> str:
    """Return the address of the client: behind the TLS proxy, the last in ``X-Forwarded-For``, the proxy's entry."""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.TLS_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or peer
