"""The operator's search finds what a customer, Stripe or Metronome calls a thing."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import ApiKey, IngestAlias
from billing.models import Dispute, Payment, PaymentAttempt
from billing.papers.content import number
from usage.models import Generation

from .admin_pages import url

pytestmark = pytest.mark.django_db


def look(operator, term: str):
    return operator.get(reverse("admin:find"), {"q": term})


def page_of(row) -> str:
    return url(type(row), "change", row.pk)


def test_a_customer_is_found_by_every_name_and_one_hit_leads_to_its_page(operator, shop, alice):
    alias = IngestAlias.objects.get(customer=alice, kind="email")
    IngestAlias.objects.filter(pk=alias.pk).update(name="ada@elsewhere.example")

    names = [
        alice.user.email,
        alice.user.email[:4].upper(),
        str(alice.pk),
        str(alice.pk).upper(),
        alice.stable_alias,
        "metronome-alice",
        "ada@elsewhere.example",
        f"  {alice.user.email} ",
    ]
    for name in names:
        assert look(operator, name).headers.get("Location") == page_of(alice), name


def test_rows_are_found_by_their_ids_here_and_there(operator, shop, alice, now):
    payment = Payment.objects.filter(customer=alice).first()
    Payment.objects.filter(pk=payment.pk).update(gateway_reference="ch_3abc")
    attempt = PaymentAttempt.objects.create(
        payment=payment,
        number=9,
        key="k9",
        parameters={},
        amount_cents=1,
        gateway_reference="pi_3abc",
        created_at=now,
    )
    dispute = Dispute.objects.create(
        payment=payment, customer=alice, gateway="stripe", reference="dp_1xyz", created_at=now
    )
    generation = Generation.objects.get(customer=alice)

    wanted = {
        "ch_3abc": payment,
        str(payment.pk): payment,
        number("receipt", payment.pk, now).lower(): payment,
        "pi_3abc": attempt,
        "dp_1xyz": dispute,
        str(generation.pk): generation,
    }
    for term, row in wanted.items():
        assert look(operator, term).headers.get("Location") == page_of(row), term


def test_a_key_is_found_by_what_its_page_shows_of_it(operator, shop, alice):
    key = ApiKey.objects.get(customer=alice)

    for term in (key.first_characters, key.shown):
        assert look(operator, term).headers.get("Location") == page_of(key), term
    assert "Nothing is called" in look(operator, "vk_ZZZZZ").content.decode()
    other = f"{key.first_characters}…????"
    assert "Nothing is called" in look(operator, other).content.decode()


def test_several_hits_are_listed_with_their_customer(operator, shop, alice, bob):
    alice.user.email, bob.user.email = "same-a@example.com", "same-b@example.com"
    alice.user.save()
    bob.user.save()

    page = look(operator, "same-").content.decode()

    assert page_of(alice) in page and page_of(bob) in page


@pytest.mark.parametrize(
    "term", ["nobody@example.com", "%", "___", "<b>bold</b>", str(UUID(int=5))]
)
def test_what_is_nowhere_is_said_in_words(operator, shop, term):
    page = look(operator, term)

    assert page.status_code == 200
    words = "Nothing is called" if len(term) > 2 else "Type at least 3 characters."
    assert words in page.content.decode() and "<b>bold" not in page.content.decode()


def test_only_what_one_may_look_at_is_found(client, staff, shop, alice):
    staff.is_superuser = False
    staff.save()
    client.force_login(staff)
    payment = Payment.objects.filter(customer=alice).first()
    assert "Nothing is called" in look(client, str(payment.pk)).content.decode()

    staff.user_permissions.add(Permission.objects.get(codename="view_payment"))

    assert look(client, str(payment.pk)).headers["Location"] == page_of(payment)


def test_the_start_page_has_the_field(operator, shop):
    page = operator.get(reverse("admin:index")).content.decode()

    assert f'action="{reverse("admin:find")}"' in page
