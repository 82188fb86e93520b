from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.middleware.gzip import GZipMiddleware
from django.utils.http import escape_leading_slashes
from django.views import defaults

from .pages import method_not_allowed, unavailable_if_database

NUL = "\0"
View = Callable[[HttpRequest], HttpResponse]


def security_headers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Set the Content-Security-Policy of every response.

    Except on Django's own debug pages, which contain inline styles.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response

    return middleware


class DatabaseAway:
    """Answers 503 if a view fails because the database does not respond.

    Nothing is left half done: every change is one transaction, and reservations expire.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return unavailable_if_database(request, error)


def nul_refused(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Keep NUL characters away from PostgreSQL, which refuses them in text.

    A query string with NUL gets 400. Cookies with NUL are ignored, because ours never have one.
    Posted fields are checked by the forms, which show the error at the field, and by
    `vocalis.admin`.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if any(NUL in value for pair in request.GET.lists() for value in (pair[0], *pair[1])):
            return defaults.bad_request(request, BadRequest())
        if any(NUL in value for value in request.COOKIES.values()):
            request.COOKIES = {
                name: value for name, value in request.COOKIES.items() if NUL not in value
            }
        return get_response(request)

    return middleware


def methods_told(get_response: View) -> View:
    """Give an empty 405 response a body: browsers show a page of their own for an empty one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code == 405 and not response.streaming and not response.content:
            return method_not_allowed(request, response["Allow"])
        return response

    return middleware


class AddSlash(CommonMiddleware):
    """CommonMiddleware that redirects POSTs to an address without the final slash with 308.

    308 keeps method and body. Django answers such a POST with an error page if DEBUG is on, and
    otherwise with a redirect that loses the body.
    """

    def get_full_path_with_slash(self, request: HttpRequest) -> str:
        return escape_leading_slashes(request.get_full_path(force_append_slash=True))

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if (
            response.status_code == HTTPStatus.NOT_FOUND
            and request.method not in ("GET", "HEAD")
            and self.should_redirect_with_slash(request)
        ):
            return HttpResponsePermanentRedirect(
                self.get_full_path_with_slash(request), preserve_request=True
            )
        return super().process_response(request, response)


class PagesCompressed(GZipMiddleware):
    """Compress pages, and nothing else.

    Sound gains nothing, is asked for in ranges and streamed. Pages that are not to be stored may
    show a secret, such as a new API key: the length of a compressed one would help to guess it
    (BREACH). In others the only secret is the CSRF token, which Django masks anew each time, and
    Django adds random bytes.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        may_be_stored = "no-store" not in response.headers.get("Cache-Control", "")
        if response.streaming or not is_page or not may_be_stored:
            return response
        return super().process_response(request, response)
