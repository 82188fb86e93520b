"""Banners: the most urgent of what is open, with its way out, until it is over or closed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from billing.live import banners as live
from billing.live import feeds
from billing.live.balance import header
from conftest import fund
from mails.tests.samples import SAMPLES
from notifications import banners, emit
from notifications.kinds import NOTICES
from notifications.models import Banner


def tell(customer, kind, now, key="k", **changes):
    emit(customer.pk, kind, key, SAMPLES[kind] | changes, now)


def seen(customer, now) -> list[str]:
    return [row.kind for row in banners.open_ones(now).filter(customer=customer)]


def test_every_banner_is_of_a_kind_that_is_mailed():
    assert set(banners.SHOWN) <= set(NOTICES)
    assert {kind for kinds in banners.CLOSES.values() for kind in kinds} <= set(banners.SHOWN)


@pytest.mark.parametrize("kind", sorted(banners.SHOWN))
def test_a_banner_has_the_words_of_the_mail_and_a_way_out(kind, alice, now):
    later = {name: None for name in ("confirm_by",) if name in SAMPLES[kind]}
    until = banners.SHOWN[kind].until
    if until:
        later = {until: (now + timedelta(days=1)).isoformat()}
    if kind == "plan.ended":
        later = {"reason": "declined"}
    tell(alice, kind, now, **later)

    [row] = banners.open_ones(now).filter(customer=alice)
    shown = banners.shown(row)
    assert shown.words and shown.label and shown.url.startswith("/")
    assert "\n" not in shown.words and "{" not in shown.words
    assert seen(alice, now + timedelta(days=91)) == []


def test_the_most_urgent_comes_first_and_of_these_the_newest(alice, bob, now):
    soon = (now + timedelta(days=1)).isoformat()
    tell(alice, "credits.ending", now, ends_at=soon)
    tell(alice, "recharge.declined", now, key="1")
    tell(alice, "recharge.declined", now + timedelta(seconds=1), key="2")
    tell(alice, "payment.action_needed", now, confirm_by=soon)
    tell(bob, "payment.disputed", now)

    assert seen(alice, now) == [
        "payment.action_needed",
        "recharge.declined",
        "recharge.declined",
        "credits.ending",
    ]
    assert banners.open_ones(now).filter(customer=alice)[1].key == "2"


def test_what_is_told_again_is_one_and_stays_closed(alice, now):
    tell(alice, "recharge.declined", now)
    [row] = banners.open_ones(now).filter(customer=alice)
    assert banners.close(customer_id=alice.pk, banner_id=row.pk, now=now)
    tell(alice, "recharge.declined", now)

    assert seen(alice, now) == [] and Banner.objects.count() == 1


def test_what_does_not_commit_is_not_shown(alice, now):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(alice, "recharge.declined", now)
        1 / 0  # noqa: B018

    assert seen(alice, now) == []


@pytest.mark.parametrize(
    "closing, closed", [(kind, one) for kind, kinds in banners.CLOSES.items() for one in kinds]
)
def test_what_is_over_is_taken_down(closing, closed, alice, now):
    until = banners.SHOWN[closed].until
    later = {until: (now + timedelta(days=1)).isoformat()} if until else {}
    more = {"reason": "declined"} if closed == "plan.ended" else {}
    tell(alice, closed, now, key="before", **later, **more)
    assert seen(alice, now) == [closed]

    tell(alice, closing, now, key="after")

    assert not Banner.objects.filter(key="before", closed_at=None).exists()


def test_a_plan_that_its_customer_ended_needs_no_banner(alice, now):
    tell(alice, "plan.ended", now, reason="cancelled")

    assert seen(alice, now) == []


def test_a_low_balance_is_over_when_there_are_credits_again(alice, wallet, now):
    tell(alice, "balance.low", now, balance=400, level=500)
    assert live.feed([wallet.id])[wallet.id]["words"] == "400 credits are left"

    fund(alice, 500, now)

    assert live.feed([wallet.id]) == {}


def test_the_stream_tells_of_the_most_urgent_one(alice, wallet, bob, now):
    other = fund(bob, 5, now)
    tell(alice, "recharge.declined", now)

    told = dict(feeds.told([wallet.id, other.id])[wallet.id])

    assert '"words": "Your automatic recharge failed"' in told["banner"]
    assert other.id not in feeds.told([wallet.id, other.id])


def test_the_page_shows_it_and_its_customer_closes_it(client, alice, bob, wallet, now):
    tell(alice, "recharge.declined", now)
    row = Banner.objects.get()
    client.force_login(bob.user)
    assert "recharge failed" not in client.get("/usage/").text
    client.post(f"/banners/{row.pk}/close/")
    assert seen(alice, now)

    client.force_login(alice.user)
    page = client.get("/usage/")
    assert "Your automatic recharge failed" in page.text
    assert 'href="/billing/recharge/">Check auto-recharge' in page.text
    back = client.post(
        f"/banners/{row.pk}/close/", headers={"referer": "http://testserver/billing/"}
    )

    assert back.url == "http://testserver/billing/"
    assert "Your automatic recharge failed" not in client.get("/usage/").text
    away = client.post(f"/banners/{row.pk}/close/", headers={"referer": "https://evil.example/"})
    assert away.url == "/studio/"


def test_a_page_without_one_asks_no_query_more(rf, alice, wallet, now, django_assert_num_queries):
    request = rf.get("/")
    request.user = alice.user
    shown = header(request)
    with django_assert_num_queries(1):
        assert shown["balance"]["balance"] == 500
        assert not shown["banner"]

    tell(alice, "recharge.declined", now)
    shown = header(request)
    with django_assert_num_queries(2):
        assert shown["balance"]["balance"] == 500
        assert shown["banner"].label == "Check auto-recharge"
