"""The status page for customers: what works, in words, by the checks of health, without secrets.

Several checks make one part of the product. What a part says when a check of it is not ok is what
its customers notice, and what works on. It is known since when a part is as it is: from the moment
this site first saw it so, kept in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import RedisError

from billing.metronome import catalogue
from vocalis import health
from vocalis.health.check import STATUSES, Status

REFRESH_SECONDS = 60
ENGINE = "engine "  # begins the name of the check of a speech engine
WORDS: dict[Status, str] = {"ok": "Works", "warn": "Limited", "error": "Disturbed"}
SUMMARIES: dict[Status, str] = {
    "ok": "Everything works.",
    "warn": "Something is slower or missing. What works on is said beside it.",
    "error": "Something is disturbed. What works on is said beside it.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the product, the checks that say how it is, and what is said of it then."""

    name: str
    checks: tuple[str, ...]
    works: str
    limited: str
    disturbed: str


PARTS = (
    Part(
        "Site and API",
        ("database",),
        "Pages, logins and the API answer.",
        "Pages and the API are slow.",
        "Our database does not answer. Nothing is lost and nothing is charged twice.",
    ),
    Part(
        "Speech",
        (ENGINE,),
        "Every voice speaks.",
        "Some voices cannot speak just now. The studio offers the others.",
        "No voice can speak just now. What was spoken plays, and nothing is charged.",
    ),
    Part(
        "Background work",
        ("worker", "paused jobs"),
        "Long texts, new plans and exports are worked on at once.",
        "Long texts and new plans take longer than usual.",
        "Long texts and new plans wait. Speaking in the studio and through the API goes on.",
    ),
    Part(
        "Credits at Metronome",
        ("reachability", "credentials", *catalogue.CHECKS, "webhook secret", "oldest unsent event"),
        "What you use is reported as you use it.",
        "What you use is reported later than usual. Your balance here is right.",
        "Metronome cannot be reached as usual. You speak on with the credits you have; new credits "
        "come when it is back.",
    ),
    Part(
        "Payments",
        ("stripe", "charged, not granted"),
        "Cards can be saved and charged.",
        "Credits that were paid for take longer than usual.",
        "Payments cannot be made just now. Nothing is charged twice, and what was paid for comes.",
    ),
    Part(
        "Mail",
        ("mail", "oldest unsent mail"),
        "Mails are sent.",
        "Mails take longer than usual.",
        "Mails wait. They are sent when the mail server is back.",
    ),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a part is now. `since_at` is when that was first seen, None if it is not known."""

    name: str
    status: Status
    says: str
    since_at: datetime | None

    @property
    def word(self) -> str:
        return WORDS[self.status]


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    report = health.cached_report()
    found = standings(report["checks"], now)
    worst = max((one.status for one in found), key=STATUSES.index)
    context: dict[str, Any] = {
        "standings": found,
        "status": worst,
        "summary": SUMMARIES[worst],
        "checked_at": datetime.fromisoformat(report["checked_at"]),
        "is_plain": found[0].status == "error",
    }
    if context["is_plain"]:  # without the database, and so without the user
        response = HttpResponse(render_to_string("status.html", context))
    else:
        response = render(request, "status.html", context)
    response["Refresh"] = str(REFRESH_SECONDS)
    return response


def standings(checks: list[dict[str, Any]], now: datetime) -> list[Standing]:
    """How each part is, by the checks of a report."""
    return [_standing(part, checks, now) for part in PARTS]


def _standing(part: Part, checks: list[dict[str, Any]], now: datetime) -> Standing:
    mine = [
        check["status"]
        for check in checks
        if check["name"] in part.checks or (ENGINE in part.checks and _is_engine(check))
    ]
    status: Status = max(mine, key=STATUSES.index, default="ok")
    if ENGINE in part.checks and status == "error" and "ok" in mine:
        status = "warn"  # other voices speak
    says = {"ok": part.works, "warn": part.limited, "error": part.disturbed}[status]
    return Standing(part.name, status, says, _since(part.name, status, now))


def _is_engine(check: dict[str, Any]) -> bool:
    return bool(check["name"].startswith(ENGINE))


def _since(name: str, status: Status, now: datetime) -> datetime | None:
    """Since when the part is seen as it is. A cache that is away knows nothing."""
    key = f"status-{slugify(name)}"
    try:
        kept = cache.get(key)
        if kept is None or kept[0] != status:
            kept = (status, now)
            cache.set(key, kept, timeout=None)
    except RedisError:
        return None
    since_at: datetime = kept[1]
    return since_at
