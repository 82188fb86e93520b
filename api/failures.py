"""Why a request is not done, before a dialect puts it in its own shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from usage.speech.problems import Problem

WORDS = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The request cannot be read."),
    HTTPStatus.NOT_FOUND: ("unknown_url", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "This method is not possible here."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "too_large",
        "The request is too large. Send a shorter text, or a smaller file.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "Something went wrong on our side. Nothing was charged for it.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "unavailable",
        "The service is not available just now. Try again in a moment.",
    ),
}


@dataclass(eq=False)
class Failure(Exception):
    """What a dialect answers instead of what was asked for.

    `code` is for programs and is ours: a dialect has its own for the ones that its clients know.
    `errors` are by field of the request. `details` are numbers and addresses that belong to it.
    `headers` are those of rate limits, for the dialects that have them.
    """

    status: int
    code: str
    message: str
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def of_problem(problem: Problem) -> Failure:
    """The failure of a problem of speech."""
    return Failure(
        problem.status,
        problem.code,
        problem.message,
        problem.errors,
        problem.details,
        problem.retry_after_seconds,
    )


def of_status(status: int) -> Failure:
    """The failure of an answer that was made outside the API, of which only the status is known."""
    known = HTTPStatus(status)
    code, message = WORDS.get(known, (known.phrase.lower().replace(" ", "_"), known.phrase))
    return Failure(status, code, message)
