from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.http import escape_leading_slashes
from django.views import defaults

from .pages import method_not_allowed, unavailable_if_database

NUL = "\0"
View = Callable[[HttpRequest], HttpResponse]


def security_headers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """The Content-Security-Policy of every answer, except Django's own debug pages,
    which style themselves."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response

    return middleware


class DatabaseAway:
    """A page that fails because the database does not answer says so with 503. Work is never left
    half done by it: every change is one transaction, and what a request held expires by itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return unavailable_if_database(request, error)


def nul_refused(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """PostgreSQL takes no NUL in a text. An address that asks for one is a bad request; a cookie
    with one is none of ours.

    What is posted is looked at by the forms, which say it at the field, and by the admin's site.
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
    """A 405 has words: browsers show a page of their own for an empty one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code == 405 and not response.streaming and not response.content:
            return method_not_allowed(request, response["Allow"])
        return response

    return middleware


class AddSlash(CommonMiddleware):
    """Django's middleware, but a form that is sent to its address without the slash at the end is
    sent on, not refused.

    Django answers such a POST with an error page in debug and else with a redirect that loses what
    was sent. 308 keeps method and body.
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
