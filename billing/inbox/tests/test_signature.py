from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing.inbox.signature import SignatureInvalid, sign, verify

SECRET = "correct-horse-battery-staple"
DATE = "Mon, 02 Jan 2006 22:04:05 GMT"
SENT_AT = datetime(2006, 1, 2, 22, 4, 5, tzinfo=UTC)
BODY = b"""{
  "id": "b2c9e307-624e-4e7d-a5a4-1b74107d78c4",
  "type": "widget_created",
  "properties": {
    "customer_id": "5f794d50-085a-4db6-8d15-286e518b7225",
    "widget_id": "0891458d-b6f0-4fdd-a41e-380aae1a1e38"
  }
}"""
DOCUMENTED = "b82652fa2246cf1d8a27e591f155c865f68b46c19b9213fd9c052f2419b4742b"
HEADERS = {"X-Metronome-Date": DATE, "Metronome-Webhook-Signature": DOCUMENTED}


def check(*, headers=HEADERS, body=BODY, secrets=(SECRET,), now=SENT_AT) -> None:
    verify(headers=headers, body=body, secrets=secrets, now=now)


def test_the_documented_example_is_reproduced():
    assert sign(secret=SECRET, date=DATE, body=BODY) == DOCUMENTED
    check()


def test_the_plain_date_header_serves_where_metronomes_own_is_missing():
    check(headers={"Date": DATE, "Metronome-Webhook-Signature": DOCUMENTED})


def test_metronomes_date_wins_over_one_a_proxy_rewrote():
    check(headers=HEADERS | {"Date": "Tue, 03 Jan 2006 00:00:00 GMT"})


def test_any_of_several_secrets_is_good_while_one_is_rotated():
    check(secrets=("old", SECRET))
    check(secrets=(SECRET, "new"))


@pytest.mark.parametrize("seconds", [-300, 300])
def test_five_minutes_either_way_are_accepted(seconds):
    check(now=SENT_AT + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_more_than_five_minutes_either_way_are_refused(seconds):
    with pytest.raises(SignatureInvalid, match="more than 300 s"):
        check(now=SENT_AT + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "change",
    [
        {"body": BODY + b"\n"},
        {"body": BODY.replace(b"widget_created", b"widget_deleted")},
        {"body": b""},
        {"secrets": ("another",)},
        {"secrets": ()},
        {"secrets": ("",)},
        {"headers": {}},
        {"headers": {"X-Metronome-Date": DATE}},
        {"headers": {"Metronome-Webhook-Signature": DOCUMENTED}},
        {"headers": HEADERS | {"Metronome-Webhook-Signature": DOCUMENTED[:-1] + "c"}},
        {"headers": HEADERS | {"Metronome-Webhook-Signature": DOCUMENTED[:10]}},
        {"headers": HEADERS | {"Metronome-Webhook-Signature": "é" * 64}},
        {"headers": HEADERS | {"X-Metronome-Date": "Mon, 02 Jan 2006 22:04:06 GMT"}},
        {"headers": HEADERS | {"X-Metronome-Date": "yesterday"}},
        {"headers": HEADERS | {"X-Metronome-Date": "Mon, 02 Jan 999999999 22:04:05 GMT"}},
        {"headers": HEADERS | {"X-Metronome-Date": "Mon, 02 Jan 2006 22:04:05 +9999999999"}},
    ],
)
def test_whatever_does_not_match_exactly_is_refused(change):
    with pytest.raises(SignatureInvalid):
        check(**change)


def test_a_signature_by_the_empty_secret_is_refused():
    forged = sign(secret="", date=DATE, body=BODY)

    with pytest.raises(SignatureInvalid):
        check(headers=HEADERS | {"Metronome-Webhook-Signature": forged}, secrets=("", SECRET))
