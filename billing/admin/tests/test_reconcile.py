"""The operator's page on one wallet:
what differs is shown beside what is the same, and one click has it mended."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import User
from billing.models import Drift, LedgerEntry, Payment, Wallet
from billing.sync.tests.test_sync import add_by_hand, spend_at_metronome
from billing.tests.money_stage import balance, establish, remote_balance
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice, monkeypatch):
    """Alice with 30,000 credits on both sides, long settled; the page reads the stage's clock."""
    monkeypatch.setattr("billing.admin.reconcile.timezone.now", stage.now)
    contract = establish(stage, alice)
    stage.advance(minutes=2)
    stage.drain()
    return contract


@pytest.fixture
def page(contract, alice):
    return reverse("admin:billing_wallet_reconcile", args=[Wallet.objects.get(customer=alice).pk])


@pytest.fixture
def operator(client, staff):
    client.force_login(staff)
    return client


def text(client, page) -> str:
    return " ".join(client.get(page).content.decode().split())


def test_a_wallet_that_agrees_says_so_and_shows_its_grants(operator, page):
    html = text(operator, page)

    assert "Wallet, Metronome and payments agree." in html
    # Wallet, Metronome, granted here and there.
    assert html.count('<td class="number">30,000</td>') >= 4


def test_credits_made_by_hand_are_shown_and_mirrored_by_one_click(
    operator, page, contract, alice, staff
):
    add_by_hand(contract, 5_000)
    html = text(operator, page)
    assert "Metronome has 5,000 credits more than" in html
    assert "“By hand” of 5,000 credits is not mirrored" in html
    assert "not in Vocalis" in html

    response = operator.post(page, follow=True)

    assert "Wallet, Metronome and payments agree." in response.content.decode()
    assert balance(alice) == remote_balance(alice) == 35_000
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (staff, "Reconcile.")


def test_a_large_difference_is_adjusted_when_a_person_agrees_to_its_size(
    operator, page, stage, alice, staff
):
    spend_at_metronome(alice, stage, 4_000)
    stage.advance(minutes=2)
    assert "Repair, and agree to adjust by -4,000 credits" in text(operator, page)

    operator.post(page, {"agree": "-3999"})
    assert Drift.objects.get().approved_by is None
    operator.post(page, {"agree": "-4000"})
    assert Drift.objects.get().approved_by == staff
    assert f"{staff} has agreed" in text(operator, page)
    stage.advance(minutes=2)
    stage.drain()

    assert balance(alice) == remote_balance(alice) == 26_000
    assert LedgerEntry.objects.filter(kind="adjustment").count() == 1
    assert "agreeing to adjust by -4,000 credits" in LogEntry.objects.latest("id").change_message
    assert "agree." in text(operator, page)


@pytest.mark.parametrize("agree", ["", "all of it", "9" * 40, "٣"])
def test_a_difference_that_is_no_number_is_not_agreed_to(operator, page, stage, alice, agree):
    spend_at_metronome(alice, stage, 4_000)
    stage.advance(minutes=2)

    assert operator.post(page, {"agree": agree}).status_code == 302
    assert Drift.objects.get().approved_by is None


def test_a_payment_that_was_given_up_is_shown_and_tried_again(operator, page, stage, alice):
    payment = Payment.objects.create(
        customer=alice,
        kind="plan",
        state="charged",
        amount_cents=4_900,
        gateway="stripe",
        created_at=stage.now(),
        due_at=stage.now(),
        dead_at=stage.now(),
        last_error="NeverGranted: ended",
    )
    assert f"payment {payment.pk} of $49.00 was given up" in text(operator, page)

    operator.post(page)

    payment.refresh_from_db()
    assert payment.dead_at is None


def test_without_metronome_our_own_side_is_shown_and_nothing_breaks(operator, page, stage):
    stage.sandbox.faults.add(match="*", kind="status", times=None, status=503)

    html = text(operator, page)
    assert "Metronome did not answer" in html
    assert '<td class="number">30,000</td>' in html

    response = operator.post(page, follow=True)
    assert "a worker goes on with it" in response.content.decode()


def test_who_agreed_while_metronome_was_away_is_written_down(operator, page, stage, alice, staff):
    spend_at_metronome(alice, stage, 4_000)
    operator.post(page)
    stage.sandbox.faults.add(match="*", kind="status", times=None, status=503)

    operator.post(page, {"agree": "-4000"})

    assert Drift.objects.get().approved_by == staff
    entry = LogEntry.objects.latest("id")
    assert (entry.user, entry.change_message) == (
        staff,
        "Reconcile, agreeing to adjust by -4,000 credits.",
    )


def test_who_may_look_may_not_repair_nor_agree(client, page, stage, alice):
    spend_at_metronome(alice, stage, 4_000)
    stage.advance(minutes=2)
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    user.user_permissions.set(Permission.objects.filter(codename="view_wallet"))
    client.force_login(user)

    assert "Repair" not in text(client, page)
    assert client.post(page).status_code == 403

    user.user_permissions.add(Permission.objects.get(codename="change_wallet"))
    client.post(page, {"agree": "-4000"})
    assert Drift.objects.get().approved_by is None
    assert "agree to adjust" not in text(client, page)


def test_a_wallet_that_does_not_exist_is_not_found(operator, page):
    assert (
        operator.get(reverse("admin:billing_wallet_reconcile", args=[999_999])).status_code == 404
    )
