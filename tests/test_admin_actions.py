"""What operators may do: with the right, after a question, in the log of who did it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, User
from billing import ledger
from billing.models import (
    ComplimentaryGrant,
    Dispute,
    Drift,
    InboundWebhook,
    Payment,
    PaymentAlert,
    Refund,
    Subscription,
    Wallet,
)
from conftest import PASSWORD
from jobs.models import PausedJob
from operations import confirmation
from usage.models import Generation, LongSpeech, UsageDiscrepancy, UsageEvent
from usage.speech import long
from vocalis import start

from .admin_pages import act, confirm, messages, url

pytestmark = pytest.mark.django_db


def test_retry_makes_dead_rows_due_and_writes_down_who_did_it(operator, shop, staff):
    event = UsageEvent.objects.get()

    response = act(operator, UsageEvent, "retry", event)

    event.refresh_from_db()
    assert (event.dead_at, event.attempts) == (None, 0)
    assert event.due_at <= timezone.now()
    assert messages(response) == ["Retry: 1 usage event is due now."]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (
        staff,
        str(event.pk),
        "Retry by hand.",
    )


def test_retry_leaves_rows_alone_that_have_no_work(operator, shop):
    UsageEvent.objects.update(due_at=None, dead_at=None)

    response = act(operator, UsageEvent, "retry", UsageEvent.objects.get())

    assert UsageEvent.objects.get().due_at is None
    assert messages(response) == ["1 usage event left alone: there is nothing to do."]
    assert not LogEntry.objects.exists()


def test_replay_processes_a_webhook_again(operator, shop):
    response = confirm(operator, InboundWebhook, "replay", InboundWebhook.objects.get())

    assert messages(response) == ["Replay: 1 inbound webhook is due now."]
    assert InboundWebhook.objects.due(timezone.now()).count() == 1
    assert LogEntry.objects.get().change_message == "Replay by hand."


def test_send_again_leaves_events_alone_that_metronome_would_not_recognise(operator, shop):
    UsageEvent.objects.update(happened_at=timezone.now() - timedelta(days=34))

    response = confirm(operator, UsageEvent, "send_again", UsageEvent.objects.get())

    assert messages(response) == ["1 usage event left alone: there is nothing to do."]


def test_agreeing_to_a_drift_notes_who(operator, shop, staff):
    response = confirm(operator, Drift, "approve", Drift.objects.get())

    assert Drift.objects.get().approved_by == staff
    assert messages(response) == ["Agreed to the adjustment: 1 drift."]
    assert LogEntry.objects.get().user == staff
    assert (
        "not open any more"
        in messages(confirm(operator, Drift, "approve", gone(Drift.objects.get())))[0]
    )


def gone(drift: Drift) -> Drift:
    Drift.objects.update(state=Drift.State.GONE)
    return drift


def test_nothing_is_done_before_it_is_confirmed(operator, shop):
    for model, action in [
        (Wallet, "freeze"),
        (Wallet, "give"),
        (Generation, "give_back"),
    ]:
        asked = act(operator, model, action, model.objects.first())
        assert asked.templates[0].name == "admin/confirm.html"
        unanswered = act(operator, model, action, model.objects.first(), confirmed="yes")
        assert b"This field is required." in unanswered.content
    assert (
        act(operator, InboundWebhook, "replay", InboundWebhook.objects.get()).templates[0].name
        == "admin/confirm.html"
    )

    assert not LogEntry.objects.exists()
    assert not ComplimentaryGrant.objects.exists()
    assert not InboundWebhook.objects.due(timezone.now()).exists()


@pytest.mark.parametrize(
    ("model", "action"),
    [
        (Wallet, "give"),
        (Drift, "approve"),
        (UsageDiscrepancy, "close"),
        (UsageEvent, "send_again"),
    ],
)
def test_the_question_says_whose_it_is(operator, shop, alice, model, action):
    assert str(alice) in act(operator, model, action, *model.objects.all()).content.decode()


def test_too_many_rows_at_once_are_refused(operator, shop, monkeypatch):
    monkeypatch.setattr(confirmation, "ROWS_MAX", 1)

    response = act(
        operator, Wallet, "freeze", *Wallet.objects.all(), confirmed="yes", reason="Sorry"
    )

    assert messages(response) == ["Choose 1 rows at most; nothing was done."]
    assert not Wallet.objects.exclude(frozen_at=None).exists()


def test_too_many_rows_at_once_are_not_tried_again_either(operator, shop, monkeypatch):
    monkeypatch.setattr(confirmation, "ROWS_MAX", 1)
    InboundWebhook.objects.create(
        event_id="event-2", type="t", payload={}, received_at=timezone.now()
    )
    InboundWebhook.objects.update(due_at=timezone.now(), dead_at=timezone.now())

    response = act(
        operator,
        InboundWebhook,
        "retry",
        InboundWebhook.objects.first(),
        select_across="1",
        index="0",
    )

    assert messages(response) == ["Choose 1 rows at most; nothing was done."]
    assert InboundWebhook.objects.dead().count() == 2
    assert not LogEntry.objects.exists()


def test_a_wallet_is_frozen_and_unfrozen_with_a_reason(operator, shop, staff, now):
    response = confirm(operator, Wallet, "freeze", shop, reason="Stolen card")

    assert messages(response) == ["Frozen: 1 wallet."]
    with pytest.raises(ledger.WalletFrozen):
        ledger.reserve(wallet_id=shop.pk, key="after", amount=1, now=now)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (
        staff,
        str(shop.pk),
        "Frozen: Stolen card",
    )
    again = confirm(operator, Wallet, "freeze", shop, reason="Again")
    assert messages(again) == [f"{shop}: is frozen already", "Nothing was changed."]

    confirm(operator, Wallet, "unfreeze", shop, reason="Card was found")
    ledger.reserve(wallet_id=shop.pk, key="after", amount=1, now=now)
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("reason", ["..", "ab", "1234 !"])
def test_a_reason_that_says_nothing_is_asked_for_again(operator, shop, reason):
    response = confirm(operator, Wallet, "freeze", shop, reason=reason)

    assert "Say why, in 3 letters at least; it is kept in the log." in response.content.decode()
    assert not Wallet.objects.exclude(frozen_at=None).exists()


def test_a_complimentary_grant_for_longer_than_ten_years_is_a_slip_of_the_finger(operator, shop):
    response = confirm(operator, Wallet, "give", shop, credits=1, days=3_661, reason="Sorry")

    assert "At most 3,660." in response.content.decode()
    assert not ComplimentaryGrant.objects.exists()


def test_credits_are_given_once_however_often_the_form_is_sent(operator, shop, staff):
    asked = act(operator, Wallet, "give", shop)
    answers = {"confirmed": "yes", "credits": "5,000", "days": 30, "reason": "Sorry"}
    answers["key"] = str(asked.context["form"]["key"].value())

    assert messages(act(operator, Wallet, "give", shop, **answers)) == [
        "Gave 5,000 credits: 1 wallet."
    ]
    again = messages(act(operator, Wallet, "give", shop, **answers))
    assert again == [
        f"{shop}: has them already: this form was sent before",
        "Nothing was changed.",
    ]

    grant = ComplimentaryGrant.objects.get()
    assert (grant.customer_id, grant.credits, grant.by, grant.reason) == (
        shop.customer_id,
        5_000,
        staff,
        "Sorry",
    )
    assert "5,000 credits" in LogEntry.objects.get(object_id=str(shop.customer_id)).change_message
    too_many = act(operator, Wallet, "give", shop, **answers | {"credits": 40_000_001})
    assert b"At most 40,000,000." in too_many.content


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_at_once_only_the_first_is_written_down(staff, shop):
    answers = {
        "credits": 5_000,
        "days": 30,
        "reason": "Sorry",
        "key": "11111111-1111-4111-8111-111111111111",
    }
    ready = threading.Barrier(2)

    def press(_: int) -> None:
        client = Client()
        client.force_login(staff)
        ready.wait()
        act(client, Wallet, "give", shop, follow=False, confirmed="yes", **answers)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(press, range(2)))

    assert (
        ComplimentaryGrant.objects.count()
        == LogEntry.objects.filter(change_message="Gave 5,000 credits: Sorry").count()
        == 1
    )


def test_a_generation_is_credited_back_once(operator, shop, staff):
    generation = Generation.objects.get()

    assert messages(confirm(operator, Generation, "give_back", generation, reason="Noise")) == [
        "Credited back: 1 generation."
    ]
    again = messages(confirm(operator, Generation, "give_back", generation, reason="Noise"))

    assert again[0].endswith("was credited back before")
    grant = ComplimentaryGrant.objects.get()
    assert (grant.kind, grant.credits, grant.by) == (ComplimentaryGrant.Kind.CREDIT_BACK, 5, staff)
    assert (
        LogEntry.objects.get(object_id=str(generation.pk)).change_message == "Credited back: Noise"
    )


def test_a_usage_discrepancy_is_sent_again_or_closed(operator, shop):
    difference = UsageDiscrepancy.objects.get()
    assert (
        "vocalis-gen-1"
        in operator.get(url(UsageDiscrepancy, "change", difference.pk)).content.decode()
    )

    assert messages(confirm(operator, UsageDiscrepancy, "repair", difference)) == [
        "Sent again: 1 usage discrepancy."
    ]
    difference.refresh_from_db()
    assert difference.repair_asked
    assert difference.due_at is not None
    assert messages(
        confirm(operator, UsageDiscrepancy, "close", difference, reason="Settled by hand")
    ) == ["Closed: 1 usage discrepancy."]
    again = messages(
        confirm(operator, UsageDiscrepancy, "close", difference, reason="Settled by hand")
    )
    assert again == [f"{difference}: is closed already", "Nothing was changed."]
    assert operator.get(url(UsageDiscrepancy), {"state": "open"}).context["cl"].result_count == 0


def refund_page(payment) -> str:
    return f"/admin/billing/payment/{payment.pk}/refund/"


@pytest.fixture
def plan(shop, alice, now) -> Payment:
    """A plan's payment that was charged, and whose plan could not be set up."""
    return Payment.objects.create(
        customer=alice,
        kind="plan",
        state="charged",
        amount_cents=4_900,
        gateway="stripe",
        created_at=now,
    )


def test_a_refund_is_shown_first_and_done_as_shown(operator, plan, staff):
    page, there = act(operator, Payment, "refund", plan), refund_page(plan)
    assert page.redirect_chain[-1][0] == there
    html = page.content.decode()
    assert 'data-amount-cents="4900" data-credits="0"' in html and "Refund $49.00" in html
    assert "Alice" in html or "alice@example.com" in html

    shown = page.context["found"].shown
    unanswered = operator.post(there, {"shown": shown})
    assert b"This field is required." in unanswered.content
    changed = operator.post(there, {"shown": "100.0.-.0", "reason": "Sorry"})
    assert "has changed since it was shown" in messages(changed)[0]
    assert not Refund.objects.exists()

    done = operator.post(there, {"shown": shown, "reason": "It had ended"})
    assert done.url == url(Payment, "change", plan.pk)
    made = Refund.objects.get()
    assert (made.amount_cents, made.by, made.reason) == (4_900, staff, "It had ended")
    assert LogEntry.objects.get().change_message.startswith("Refund of $49.00")
    again = operator.post(there, {"shown": shown, "reason": "again"}).content.decode()
    assert "A payment is refunded once" in again
    assert Refund.objects.count() == 1
    assert "It had ended" in operator.get(url(Payment, "change", plan.pk)).content.decode()


def test_a_payment_that_can_still_be_granted_is_not_refunded(operator, shop, plan):
    recharge = Payment.objects.exclude(pk=plan.pk).get()
    assert "on their way" in operator.get(refund_page(recharge)).content.decode()
    both = act(operator, Payment, "refund", recharge, plan)
    assert messages(both) == ["Choose one payment: each is shown first."]


def test_a_refund_asks_for_its_right(client, plan):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    user.user_permissions.set(Permission.objects.filter(codename="view_payment"))
    client.force_login(user)
    page = client.get(url(Payment, "change", plan.pk))
    assert "refund" not in {button["action"] for button in page.context["buttons"]}
    assert client.get(refund_page(plan)).status_code == 403
    assert client.post(refund_page(plan), {"shown": "4900.0.-.0", "reason": "x"}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="change_payment"))
    assert client.get(refund_page(plan)).status_code == 200


def test_what_came_back_is_sent_again_settled_or_called_off(operator, plan, alice, now):
    fields = {"payment": plan, "customer": alice, "amount_cents": 4_900, "reason": "r"}
    row = Refund.objects.create(**fields, state="refused", created_at=now)
    Payment.objects.filter(pk=plan.pk).update(state="refunding")
    for action, answer, state in [
        ("send_again", {}, "taken_back"),
        ("settle_by_hand", {"reason": "Bank transfer"}, "paid_back"),
        ("call_off", {"reason": "The customer keeps them"}, "returning"),
    ]:
        Refund.objects.update(state="refused")
        confirm(operator, Refund, action, row, **answer)
        assert Refund.objects.get().state == state
        told = messages(confirm(operator, Refund, action, row, **answer))[0]
        assert "it did not come back" in told or "on its way" in told


@pytest.mark.parametrize(
    ("action", "is_frozen"), [("unfreeze", False), ("keep_frozen", True), ("on the wallet", False)]
)
def test_a_wallet_frozen_by_a_lost_dispute_is_listed_until_staff_decides(
    operator, plan, alice, now, action, is_frozen
):
    fields = {"customer": alice, "gateway": "stripe", "created_at": now, "settled_at": now}
    row = Dispute.objects.create(payment=plan, **fields, state="lost", reference="dp_1")
    other = Dispute.objects.create(payment=plan, **fields, state="won", reference="dp_2")
    ledger.set_frozen(wallet_id=alice.wallet.pk, frozen=True, reason=row.hold, now=now)
    checks = {check["name"]: check for check in start.check_rows(now + timedelta(hours=3))}
    needed = checks["frozen after a lost dispute"]
    assert (needed["status"], needed["detail"]) == (
        "warn",
        "1 to unfreeze or to keep frozen; the oldest for 3 hours",
    )
    assert operator.get(needed["url"]).context["cl"].result_count == 1

    if action == "on the wallet":
        confirm(operator, Wallet, "unfreeze", alice.wallet, reason="She called")
    else:
        confirm(operator, Dispute, action, row, reason="She called")
        told = messages(confirm(operator, Dispute, action, row, reason="Again"))[0]
        assert "any more" in told

    alice.wallet.refresh_from_db()
    assert bool(alice.wallet.frozen_at) == is_frozen
    assert operator.get(needed["url"]).context["cl"].result_count == 0
    checks = {check["name"]: check for check in start.check_rows(now)}
    assert checks["frozen after a lost dispute"]["status"] == "ok"
    other.refresh_from_db()
    assert other.decided_at is None


def test_a_warning_leads_to_the_refund_and_is_closed_with_a_reason(operator, plan, alice, now):
    alert = PaymentAlert.objects.create(
        payment=plan,
        customer=alice,
        kind="early_warning",
        reference="issfr_1",
        detail="made_with_stolen_card",
        amount_cents=4_900,
        created_at=now,
    )
    html = operator.get(url(PaymentAlert), {"open": "yes"}).content.decode()
    assert "usually avoids the dispute and its fee" in html and refund_page(plan) in html
    assert "made_with_stolen_card" in operator.get(refund_page(plan)).content.decode()

    confirm(operator, PaymentAlert, "close", alert, reason="The customer called")
    alert.refresh_from_db()
    assert alert.closed_because == "The customer called"
    assert operator.get(url(PaymentAlert), {"open": "yes"}).context["cl"].result_count == 0


def test_payments_are_found_by_the_charge_at_the_gateway(operator, plan, now):
    plan.tries.create(
        number=1,
        key="k",
        method_reference="pm_1",
        amount_cents=4_900,
        currency="USD",
        parameters={},
        gateway_reference="pi_declined",
        created_at=now,
    )
    for term in ("pi_declined", str(plan.pk)):
        assert operator.get(url(Payment), {"q": term}).context["cl"].result_count == 1
    assert operator.get(url(Payment), {"stuck": "yes"}).context["cl"].result_count == 2


def test_retry_of_a_payment_without_credits_runs_what_these_wait_for(operator, plan, alice, now):
    later = now + timedelta(days=1)
    Payment.objects.filter(pk=plan.pk).update(due_at=later)
    row = Subscription.objects.create(
        customer=alice, plan="creator", state="requested", key="k", due_at=later, created_at=now
    )
    Payment.objects.filter(pk=plan.pk).update(subscription=row, period=1)
    Customer.objects.filter(pk=alice.pk).update(
        due_at=later, attempts=7, last_error="MetronomeUnavailable: 503"
    )
    listed = operator.get(url(Payment), {"stuck": "yes"}).content.decode()
    assert "customer: MetronomeUnavailable: 503" in listed
    assert "MetronomeUnavailable" not in operator.get(url(Payment)).content.decode()

    act(operator, Payment, "retry", plan)

    for waiting in (Payment, Subscription, Customer):
        waits = waiting.objects.filter(due_at__lte=timezone.now())
        assert waits.exists(), waiting
    assert Customer.objects.get(pk=alice.pk).attempts == 0


@pytest.mark.parametrize(
    ("model", "action", "right"),
    [
        (Wallet, "freeze", "change_wallet"),
        (Wallet, "give", "add_complimentarygrant"),
        (Generation, "give_back", "add_complimentarygrant"),
        (InboundWebhook, "replay", "change_inboundwebhook"),
        (UsageEvent, "send_again", "change_usageevent"),
        (Drift, "approve", "change_drift"),
        (UsageDiscrepancy, "repair", "change_usagediscrepancy"),
    ],
)
def test_every_action_asks_for_its_right(client, shop, model, action, right):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    user.user_permissions.set(Permission.objects.filter(codename=f"view_{model._meta.model_name}"))
    client.force_login(user)
    row = model.objects.first()

    page = client.get(url(model, "change", row.pk))
    assert action not in {button["action"] for button in page.context["buttons"]}
    assert act(client, model, action, row).status_code == 403
    assert act(client, model, action, row, confirmed="yes", reason="Because").status_code == 403
    assert not LogEntry.objects.exists()

    user.user_permissions.add(Permission.objects.get(codename=right))
    assert act(client, model, action, row).templates[0].name == "admin/confirm.html"


def test_a_page_has_buttons_for_what_applies_and_they_lead_back_to_it(operator, shop, alice):
    page = url(Customer, "change", alice.pk)
    buttons = {button["action"]: button for button in operator.get(page).context["buttons"]}

    assert {"reconcile", "give", "freeze"} <= set(buttons)
    assert "unfreeze" not in buttons
    response = operator.post(
        buttons["freeze"]["url"],
        {
            "action": "freeze",
            "_selected_action": buttons["freeze"]["pk"],
            "back": page,
            "confirmed": "yes",
            "reason": "Sorry",
        },
    )
    assert response.headers["Location"] == page
    assert "unfreeze" in {button["action"] for button in operator.get(page).context["buttons"]}


def test_reconcile_leads_to_its_page_from_the_customer_s(operator, shop, alice):
    page = url(Customer, "change", alice.pk)
    response = act(operator, Wallet, "reconcile", shop, follow=False, back=page)

    assert response.headers["Location"] == reverse("admin:billing_wallet_reconcile", args=[shop.pk])
    assert (
        "Choose one wallet"
        in messages(act(operator, Wallet, "reconcile", *Wallet.objects.all()))[0]
    )


def test_a_button_does_not_lead_away_from_the_site(operator, shop):
    answers = {"confirmed": "yes", "reason": "Sorry", "back": "//evil.example/"}
    response = act(operator, Wallet, "freeze", shop, follow=False, **answers)

    assert response.headers["Location"] == url(Wallet)


def test_deleting_a_paused_job_ends_its_pause(operator, shop):
    operator.post(url(PausedJob, "delete", "usage.report"), {"post": "yes"})

    assert not PausedJob.objects.exists()


@pytest.mark.parametrize("rights", [[], ["view_usageevent"]])
def test_staff_without_the_right_cannot_act(client, shop, rights):
    user = User.objects.create_user(
        "viewer@example.com", PASSWORD, is_staff=True, first_name="V", last_name="V"
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    act(client, UsageEvent, "retry", UsageEvent.objects.get(), follow=False)

    assert UsageEvent.objects.get().dead_at is not None
    assert client.get(url(UsageEvent)).status_code == (200 if rights else 403)


def test_customers_do_not_get_in(client, alice):
    client.force_login(alice.user)

    assert client.get("/admin/").status_code == 302


def test_cancelling_ends_a_long_text_that_is_made_again(operator, shop):
    now = timezone.now()
    generation = Generation.objects.filter(state="done").first()
    LongSpeech.objects.create(generation=generation, renew_at=now)
    rows = Generation.objects.filter(pk=generation.pk)
    rows.update(is_queued=True, is_making_again=True, again_at=now)
    before = list(Wallet.objects.values("balance", "reserved"))

    response = confirm(operator, Generation, "cancel", generation)

    assert messages(response) == ["Cancelled: 1 generation."]
    generation.refresh_from_db()
    assert (generation.state, generation.is_making_again) == ("done", False)
    assert LongSpeech.objects.get().again_failure == long.CANCELLED
    assert list(Wallet.objects.values("balance", "reserved")) == before
