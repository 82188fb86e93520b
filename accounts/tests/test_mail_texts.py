"""The texts of our e-mails: whole sentences after the salutation."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

TEMPLATES = sorted(path.stem for path in (settings.BASE_DIR / "templates/emails").glob("*.txt"))
CONTEXT = {
    "first_name": "Ada",
    "billing_url": "https://x.example/billing/",
    "plans_url": "https://x.example/billing/plans/",
    "url": "https://x.example/reset/",
    "days": 3,
    "failure": "The card was declined.",
    "plan": {"name": "Creator"},
    "payment": {"amount_dollars": "$49.00", "confirm_by_at": timezone.now()},
    "recharge": {"amount_dollars": "$49.00", "failure": "The card was declined."},
    "what": "your Creator plan",
    "grant": SimpleNamespace(remaining=1_234, name="Trial", ends_at=timezone.now()),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_paragraph_begins_like_a_sentence_and_ends_like_one(template):
    text = render_to_string(f"emails/{template}.txt", CONTEXT)

    salutation, *paragraphs = text.strip().split("\n\n")
    if template != "password_reset":
        assert salutation == "Hello Ada,"
        assert paragraphs.pop() == "Vocalis"
    for paragraph in paragraphs:
        assert re.match(r"[A-Z0-9]|https://", paragraph), paragraph
        assert re.search(r"[.:/]$", paragraph), paragraph
    assert "by themselves" not in text and "by itself" not in text
