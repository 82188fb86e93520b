"""The texts of our e-mails: whole sentences after the salutation."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

TEMPLATES = sorted(
    path.stem for path in (settings.BASE_DIR / "templates/emails").glob("[a-z]*_*.txt")
)
CONTEXT = {
    "first_name": "Ada",
    "billing_url": "https://x.example/billing/",
    "plans_url": "https://x.example/billing/plans/",
    "failure": "The card was declined.",
    "plan": {"name": "Creator"},
    "payment": {"amount_dollars": "$49.00", "confirm_by_at": timezone.now()},
    "recharge": {"amount_dollars": "$49.00", "failure": "The card was declined."},
    "what": "your Creator plan",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_paragraph_begins_like_a_sentence_and_ends_like_one(template):
    text = render_to_string(f"emails/{template}.txt", CONTEXT)

    salutation, *paragraphs = text.strip().split("\n\n")
    assert salutation == "Hello Ada,"
    assert paragraphs.pop() == "Vocalis"
    for paragraph in paragraphs:
        assert re.match(r"[A-Z0-9]|https://", paragraph), paragraph
        assert re.search(r"[.:/]$", paragraph), paragraph
    assert "by themselves" not in text and "by itself" not in text
