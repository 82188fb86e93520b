"""Problems of speech as responses: JSON for programs, and what a form shows to people."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse

from usage.speech.problems import Problem


def as_json(problem: Problem) -> HttpResponse:
    body = {"errors": problem.errors} if problem.errors else {"error": problem.message, **problem.details}
    response = JsonResponse(body, status=problem.status)
    if problem.retry_after_seconds is not None:
        response["Retry-After"] = str(problem.retry_after_seconds)
    return response


def on_form(problem: Problem, words: dict[str, str]) -> dict[str, Any]:
    """The context in which a form shows it: at the fields, or above them. `words` are the form's own, by code."""
    if problem.code in words:
        return {"problem": words[problem.code].format(message=problem.message)}
    if problem.details:
        return {"missing": problem.details}
    if problem.errors:
        return {"errors": problem.errors, "problem": " ".join(problem.errors.get("key", []))}
    return {"problem": problem.message}
