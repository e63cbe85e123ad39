"""Pages that cannot be shown, or actions that cannot be done, while another transaction holds a lock."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from linking.bulk import is_lock_timeout

LOCKED = (
    "Another transaction locks rows that this page needs. Nothing was changed: go back and try again in a minute.\n"
)


class LockTimeoutMiddleware:
    """Answer 503 with a clear text where a statement waited too long for a lock: nothing was changed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self._get_response(request)

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the response for a lock timeout; Django handles every other exception."""
        if not is_lock_timeout(exception):
            return None
        return HttpResponse(LOCKED, status=503, content_type="text/plain", headers={"Retry-After": "30"})
