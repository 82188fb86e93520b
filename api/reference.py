"""The pages about the API, for everybody: how to call it, and what its problems mean.

The examples are files of their own, which `tests/test_api_process.py` runs as the page shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from .own.errors import EXPLAINED

EXAMPLES = Path(__file__).parent / "examples"
EXAMPLES_URL = "http://localhost:8000"  # as it stands in the files
LANGUAGES = {"sh": "curl", "py": "Python", "mjs": "JavaScript"}


@dataclass(frozen=True, slots=True)
class Example:
    language: str
    code: str


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "api/reference.html", context())


def context() -> dict[str, Any]:
    """What the sections of the page need."""
    return {
        "own": examples("own"),
        "openai": examples("openai"),
        "elevenlabs": examples("elevenlabs"),
        "site_url": settings.SITE_URL,
    }


@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    return render(request, "api/problems.html", {"problems": EXPLAINED})


@cache
def examples(dialect: str) -> list[Example]:
    """The examples of a dialect, for this site's address."""
    return [
        Example(
            language,
            (EXAMPLES / f"{dialect}.{ending}").read_text().replace(EXAMPLES_URL, settings.SITE_URL),
        )
        for ending, language in LANGUAGES.items()
    ]
