"""Recorded consents on the page of own voices: their owner alone sees and withdraws them."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Customer
from usage.models import VoiceConsent
from usage.speech import audio

SPOKEN = b"RIFF of somebody who agrees"


def record(customer: Customer, now, name: str = "Alice in person") -> VoiceConsent:
    given = VoiceConsent.objects.create(
        customer=customer,
        sentence="I agree.",
        address="192.0.2.1",
        name=name,
        language="en-US",
        recording=f"{customer.id}/consent-{name[:5]}.wav",
        key=name,
        given_at=now,
    )
    audio.store_sample(given.recording, SPOKEN)
    return given


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def test_a_recorded_consent_is_shown_before_any_voice_is_made_under_it(page, alice, bob, now):
    record(alice, now)
    record(bob, now, "Bob in person")

    shown = page.get(reverse("own-voice")).content.decode()

    assert "Alice in person" in shown and "Never" in shown
    assert "Bob in person" not in shown


def test_nobody_without_one_reads_of_recorded_consents(page):
    assert "Recorded consents" not in page.get(reverse("own-voice")).content.decode()


def test_its_recording_can_be_downloaded(page, alice, now):
    given = record(alice, now)

    answer = page.get(reverse("consent-recording", args=[given.id]))

    assert answer.content == SPOKEN
    assert answer["Content-Disposition"] == 'attachment; filename="vocalis-consent.wav"'
    assert answer["Cache-Control"] == "no-store"


def test_a_lost_recording_is_said(page, alice, now):
    given = record(alice, now)
    audio.delete_sample(given.recording)

    answer = page.get(reverse("consent-recording", args=[given.id]))

    assert answer.status_code == 422
    assert "is not there" in answer.content.decode()


def test_it_is_withdrawn_once_and_its_recording_goes(page, alice, now):
    given = record(alice, now)
    url = reverse("consent-withdraw", args=[given.id])

    answer = page.post(url, follow=True)

    assert "The consent is withdrawn" in answer.content.decode()
    assert not VoiceConsent.objects.exists() and not audio.has_sample(given.recording)
    assert page.post(url).status_code == 404


def test_a_consent_of_somebody_else_is_not_found(page, bob, now):
    given = record(bob, now)

    assert page.post(reverse("consent-withdraw", args=[given.id])).status_code == 404
    assert page.get(reverse("consent-recording", args=[given.id])).status_code == 404
    assert VoiceConsent.objects.get().revoked_at is None
