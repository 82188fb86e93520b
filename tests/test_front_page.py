import re
from html import unescape

import pytest
from django.conf import settings

from billing import plans
from usage.templatetags.speech_length import speech_length
from vocalis.public.landing import SAMPLE

TEMPLATES = settings.BASE_DIR / "templates"


@pytest.mark.django_db
def test_the_front_page_names_every_plan_and_price(client):
    page = client.get("/").text

    for plan in plans.PLANS.values():
        assert f"<h3>{plan.name}</h3>" in page
    for words in (
        "Free",
        "$49",
        "$149",
        "50,000",
        "250,000",
        "1,000,000",
        "25,000",
        "one dollar buys 4,000 credits",
    ):
        assert words in page
    assert f"{len(SAMPLE)} characters" in page
    assert f"{len(SAMPLE)} credits" in page


def test_the_front_page_sends_a_customer_to_the_studio_and_an_operator_to_the_admin(
    client, alice, staff
):
    client.force_login(alice.user)
    assert client.get("/").url == "/studio/"

    client.force_login(staff)
    assert client.get("/").url == "/admin/"


def test_the_hours_a_plan_buys_are_those_of_the_measured_paces(client, alice):
    client.force_login(alice.user)
    text = " ".join(client.get("/billing/plans/").text.split())

    for plan in ("trial", "creator", "pro"):
        standard, premium = (
            speech_length(plans.PLANS[plan].credits, tier) for tier in ("standard", "premium")
        )
        assert f"About {standard} of speech with standard voices, or {premium} with" in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/status/",
        "/terms/",
        "/privacy/",
        "/docs/",
        "/docs/quick-start/",
        "/voices/",
        "/accounts/signup/",
        "/accounts/login/",
        "/accounts/password/reset/",
    ],
)
def test_a_visitors_page_has_one_heading_and_nothing_inline(client, path):
    page = client.get(path).text
    # The one address that is not relative is the page's own.
    own = f'<link rel="canonical" href="{settings.SITE_URL}{path}">'
    assert page.count(own) == 1
    page = page.replace(own, "")

    assert len(re.findall(r"<h1\b", page)) == 1
    assert not re.search(
        r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", unescape(page)
    )
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


@pytest.mark.parametrize(
    "path",
    # Programs that show mails take styles only where they are used, and no page shows these.
    sorted(set(TEMPLATES.rglob("*.html")) - set((TEMPLATES / "emails").rglob("*.html"))),
    ids=lambda path: path.name,
)
def test_a_template_has_nothing_inline(path):
    text = path.read_text()

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", text)
