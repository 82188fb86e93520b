"""The instance of our own dialect: its keys, its errors, and its OpenAPI document.

`/v1/openapi.json` is the document, `/v1/docs` a page of it.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema

from api import access, auth
from api.failures import Failure, of_problem, of_status
from usage.speech import problems

from . import errors

PROBLEM_TYPE = "application/problem+json"


class OwnApi(NinjaAPI):
    """NinjaAPI whose document says of each error that it is a problem, and how keys are sent."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    content = response.get("content", {})
                    if int(status) >= 400 and "application/json" in content:
                        response["content"] = {PROBLEM_TYPE: content["application/json"]}
        return document


class Key:
    """The key of a request, as ninja's `auth`: its scope, or "" for any key."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.openapi_security_schema = {
            "type": "http",
            "scheme": "bearer",
            "description": "A Vocalis API key, vk_…",
        }

    def __call__(self, request: Any) -> Any:
        request.now = timezone.now()
        request.api_key = auth.authenticate(request, self.scope, request.now)
        request.customer = request.api_key.customer
        return request.api_key


api = OwnApi(
    title="Vocalis API",
    version="1",
    description="Speech on prepaid credits, with exact quotes, hard budgets and receipts.",
    urls_namespace="api",
    docs_url="/docs",
    openapi_url="/openapi.json",
)


def _failed(request: HttpRequest, failure: Failure) -> HttpResponse:
    return access.answered(request, errors.answer, failure)


@api.exception_handler(Failure)
def failure(request: HttpRequest, error: Failure) -> HttpResponse:
    return _failed(request, error)


def problem(request: HttpRequest, error: Any) -> HttpResponse:
    return _failed(request, of_problem(problems.problem_of(error)))


for expected in problems.EXPECTED:
    api.add_exception_handler(expected, problem)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """What is wrong with the request, by field."""
    found: dict[str, list[str]] = {}
    for each in error.errors:
        # ("body", "data", "text"): where it is, the parameter's name here, and the field.
        place = [str(part) for part in each["loc"]]
        fields = place[2:] if place[0] == "body" else place[1:]
        found.setdefault("/".join(fields) or "body", []).append(f"{each['msg']}.")
    words = "; ".join(f"{field}: {' '.join(said)}" for field, said in found.items())
    return _failed(request, Failure(422, "invalid_request", words, errors=found))


@api.exception_handler(HttpError)
def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    known = of_status(error.status_code)
    return _failed(request, Failure(known.status, known.code, str(error) or known.message))


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return _failed(request, Failure(404, "not_found", "There is no such thing, or not of yours."))


@api.exception_handler(Exception)
def broken(request: HttpRequest, error: Exception) -> HttpResponse:
    """Left to Django, which logs it; the middleware then answers in this dialect."""
    raise error
