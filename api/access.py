"""Views of a dialect: the key and its scope before them, and their failures in its words."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from accounts.models import ApiKey, Customer
from usage.speech import problems
from usage.speech.speak import WRONG_KEY

from . import auth
from .dialects import Answer
from .failures import Failure, of_problem
from .limits import Admission

View = Callable[..., HttpResponseBase]


class ApiRequest(HttpRequest):
    """The request as a view under `endpoint` receives it. `api_id` is its request id."""

    admission: Admission
    api_id: str
    api_key: ApiKey
    customer: Customer
    now: datetime


def endpoint(answer: Answer, scope: str, *methods: str) -> Callable[[View], View]:
    """A view for keys with that scope ("" for any key), and these methods alone.

    What it raises of `Failure` and of `usage.speech.problems` is answered in the dialect. Sessions
    and CSRF have no business here: there is no cookie, only the key.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: ApiRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                return method_not_allowed(request, answer, methods)
            request.now = timezone.now()
            try:
                request.api_key = auth.authenticate(request, scope, request.now)
                request.customer = request.api_key.customer
                return view(request, *args, **kwargs)
            except Failure as failure:
                return answered(request, answer, failure)
            except problems.EXPECTED as error:
                return answered(request, answer, of_problem(problems.problem_of(error)))

        return guarded

    return decorate


def public(answer: Answer, *methods: str) -> Callable[[View], View]:
    """A view for everybody, with these methods alone."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: ApiRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                return method_not_allowed(request, answer, methods)
            request.now = timezone.now()
            try:
                return view(request, *args, **kwargs)
            except Failure as failure:
                return answered(request, answer, failure)

        return guarded

    return decorate


def key_of(request: HttpRequest) -> str:
    """The key that makes a request one, however often it is sent. Raises problems.Refused."""
    key = request.headers.get("Idempotency-Key")
    if key == "":  # before anything of ours is put in front of it
        raise problems.Refused({"key": [WRONG_KEY]})
    return key or str(uuid.uuid4())


def method_not_allowed(
    request: HttpRequest, answer: Answer, methods: tuple[str, ...]
) -> HttpResponse:
    allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
    failure = Failure(
        405, "method_not_allowed", f"{request.method} is not possible here. Use {allowed}."
    )
    response = answered(request, answer, failure)
    response["Allow"] = allowed
    return response


def answered(request: HttpRequest, answer: Answer, failure: Failure) -> HttpResponse:
    """A failure as the dialect has it, known to the middleware as such."""
    response = answer(failure, getattr(request, "api_id", ""))
    response.is_of_dialect = True  # type: ignore[attr-defined]
    return response
