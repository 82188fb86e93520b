"""The zone of an account: guessed at sign-up, chosen on the profile, used in mails and pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.template import Context, Template
from django.utils import timezone

from accounts import zones
from accounts.models import User
from conftest import PASSWORD
from mails import moments, render
from mails.models import OutboundMail

PERSON = {"first_name": "A", "last_name": "T", "email": "new@example.com", "password": PASSWORD}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "stored"),
    [("Europe/Berlin", "Europe/Berlin"), ("", ""), ("Mars/Base", ""), ("../etc/passwd", "")],
)
def test_sign_up_takes_the_zone_of_the_browser_if_it_is_one(client, said, stored):
    assert client.post("/accounts/signup/", PERSON | {"time_zone": said}).status_code == 302

    assert User.objects.get().time_zone == stored


def test_the_profile_changes_it(client, alice):
    client.force_login(alice.user)
    answers = {"first_name": "A", "last_name": "T", "email": "alice@example.com"}

    client.post("/accounts/profile/", answers | {"time_zone": "America/New_York"})
    assert User.objects.get().time_zone == "America/New_York"
    bad = client.post("/accounts/profile/", answers | {"time_zone": "Mars/Base"})
    assert "time_zone" in bad.context["form"].errors


def test_a_mail_shows_moments_of_its_readers_zone():
    user = User(pk=7, email="a@example.com", password="x", time_zone="Europe/Berlin")
    data = {"ends_at": "2126-07-05T14:05:00+00:00", "offer_percent": 20}
    row = OutboundMail(user=user, kind="trial.ends_soon", key="k", data=data)

    assert "5 July 2126, 16:05 CEST" in render.render(row, to=user.email).text
    user.time_zone = "Gone/Away"
    assert "5 July 2126, 14:05 UTC" in render.render(row, to=user.email).text


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "3 December 2026, 14:05 UTC"),
        ("America/New_York", "3 December 2026, 09:05 EST"),
        ("Asia/Kolkata", "3 December 2026, 19:35 IST"),
        ("America/Sao_Paulo", "3 December 2026, 11:05 UTC-3"),
        ("Asia/Kathmandu", "3 December 2026, 19:50 UTC+5:45"),
    ],
)
def test_a_moment_names_its_zone(zone, words):
    with timezone.override(ZoneInfo(zone)):
        at = timezone.localtime(datetime(2026, 12, 3, 14, 5, tzinfo=UTC))
        assert moments.moment(at) == words


def test_the_zones_to_choose_from_are_places():
    assert {"Europe/Berlin", "America/New_York", "Asia/Kolkata"} <= set(zones.names())
    assert not {"Etc/GMT+5", "US/Pacific", "EST"} & set(zones.names())


@pytest.mark.parametrize(
    ("tag", "of_tokyo", "of_nobody"),
    [
        ("moment at", "1 Jan 2027, 08:30", "31 Dec 2026, 23:30"),
        ("moment at zone=True", "1 Jan 2027, 08:30 JST", "31 Dec 2026, 23:30 UTC"),
        ("moment at year=False", "1 Jan, 08:30", "31 Dec, 23:30"),
        ("day at", "1 January 2027", "31 December 2026"),
        ("day at year=False", "1 January", "31 December"),
        ("day at short=True", "1 Jan 2027", "31 Dec 2026"),
        ("time_of_day at", "08:30 JST", "23:30 UTC"),
    ],
)
def test_pages_show_moments_of_their_readers_zone_and_utc_on_hover(tag, of_tokyo, of_nobody):
    template = Template(f"{{% {tag} %}}")
    at = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    for user, words in ((User(time_zone="Asia/Tokyo"), of_tokyo), (AnonymousUser(), of_nobody)):
        html = template.render(Context({"at": at, "user": user}))
        assert re.sub("</?(time|span)[^>]*>", "", html) == words
        assert 'datetime="2026-12-31T23:30:00+00:00" title="31 December 2026, 23:30 UTC"' in html
    assert template.render(Context({"at": None})) == ""


def test_no_page_of_customers_writes_a_time_of_day_in_utc_alone():
    """Mails have filters of their own, and the admin says that it is UTC."""
    folder = settings.BASE_DIR / "templates"
    pages = [
        path
        for path in folder.rglob("*.html")
        if path.relative_to(folder).parts[0] not in ("admin", "emails")
    ]
    assert len(pages) > 80
    for path in pages:
        assert not re.search(r'\|(date|time):"[^"]*[Hi]', path.read_text()), path
