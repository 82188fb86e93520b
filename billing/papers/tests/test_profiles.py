"""Whom customers are billed as: what is taken, in which form, and what is said of the rest."""

from __future__ import annotations

import pytest

from billing.models import BillingProfile
from billing.papers import profiles, tax_ids
from billing.papers.countries import COUNTRIES

FIELDS = {
    "name": "Łukasz Ångström Sp. z o.o.",
    "line1": "ul. Świętokrzyska 36",
    "line2": "",
    "postal_code": "00-116",
    "city": "Warszawa",
    "state": "",
    "country": "PL",
    "tax_id": "pl 856-734-62-15",
}


def save(customer, now, **fields) -> bool:
    return profiles.save(customer=customer, fields=FIELDS | fields, now=now)


def refused(customer, now, **fields) -> tuple[str, str]:
    with pytest.raises(profiles.FieldInvalid) as error:
        save(customer, now, **fields)
    assert not BillingProfile.objects.exists()
    return error.value.field, str(error.value)


def test_a_profile_is_stored_in_one_form_and_due_for_the_gateway(alice, now):
    assert save(alice, now, name=" A\u030angstro\u0308m ")

    row = BillingProfile.objects.get()
    assert (row.name, row.tax_id, row.due_at) == ("\u00c5ngstr\u00f6m", "PL8567346215", now)
    assert profiles.buyer(alice) == {
        "name": "\u00c5ngstr\u00f6m",
        "address": ["ul. Świętokrzyska 36", "00-116 Warszawa", "Poland"],
        "tax_id": "PL8567346215",
    }


def test_the_same_again_changes_nothing(alice, now):
    save(alice, now)
    BillingProfile.objects.all().cancel()

    assert not save(alice, now)
    assert BillingProfile.objects.get().due_at is None
    assert save(alice, now, city="Gdańsk")
    assert BillingProfile.objects.get().due_at == now


def test_without_a_profile_the_account_is_the_buyer(alice):
    assert profiles.buyer(alice)["name"] == "Alice Tester"
    assert profiles.buyer(alice)["address"] == ["alice@example.com"]


def test_the_state_stands_where_a_country_has_it(alice, now):
    american = {"country": "US", "tax_id": "911144442", "city": "Albany", "state": "NY"}
    save(alice, now, **american, postal_code="12207")

    assert profiles.buyer(alice)["address"][-2:] == ["Albany, NY 12207", "United States"]
    assert BillingProfile.objects.get().tax_id == "91-1144442"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": " "}, "name", "Write a name or company."),
        ({"country": ""}, "country", "Choose a country."),
        ({"country": "XX"}, "country", "Choose a country."),
        ({"city": ""}, "city", "Write the city."),
        ({"postal_code": ""}, "postal_code", "Write the postal code."),
        ({"country": "US", "tax_id": ""}, "state", "Write the state: it belongs to addresses"),
        ({"name": "x" * 161}, "name", "Write at most 160 characters."),
        ({"name": "x" * 1_000_000}, "name", "This has more than 160 characters."),
        ({"name": "a\u202eb"}, "name", "without line breaks and invisible characters"),
        ({"line1": "a\nb"}, "line1", "without line breaks and invisible characters"),
        ({"tax_id": "PL8567346216"}, "tax_id", "like PL8567346215, or leave it empty"),
        ({"tax_id": "PL1"}, "tax_id", "It has too few or too many characters"),
        ({"tax_id": "\u0661\u0662\u0663"}, "tax_id", "like PL8567346215"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(alice, now, fields, field, words):
    found, message = refused(alice, now, **fields)

    assert (found, words in message) == (field, True), message


def test_ireland_needs_no_postal_code(alice, now):
    assert save(alice, now, country="IE", postal_code="", tax_id="")


def test_a_closed_account_stays_forgotten(alice, now):
    alice.user.is_active = False
    alice.user.save(update_fields=["is_active"])

    assert not save(alice, now)
    assert not BillingProfile.objects.exists()


@pytest.mark.parametrize("country", tax_ids.KINDS)
def test_the_example_of_each_country_is_right_and_in_the_form_that_is_stored(country):
    kind = tax_ids.KINDS[country]

    assert country in COUNTRIES
    assert tax_ids.clean(country, kind.example) == kind.example
    assert tax_ids.clean(country, kind.example.lower().replace("", " ")) == kind.example
    for wrong in ("x", "0", "?" * 300, "\x00", kind.example[:-1] + "\u00df"):
        with pytest.raises(tax_ids.TaxIdInvalid):
            tax_ids.clean(country, wrong)


def test_a_swiss_number_may_lack_the_ending_that_says_nothing():
    assert tax_ids.clean("CH", "CHE-107.787.577") == "CHE-107.787.577 MWST"


def test_a_country_without_a_check_keeps_what_was_typed():
    assert tax_ids.clean("KE", " A123 ") == "A123"
    assert tax_ids.at_stripe("KE", "A123") is None
    assert tax_ids.at_stripe("DE", "DE136695976") == ("eu_vat", "DE136695976")


def test_every_kind_is_one_that_stripe_has():
    from typing import get_args, get_type_hints

    from stripe.params import CustomerTaxIdCreateParams

    literal, _ = get_args(get_type_hints(CustomerTaxIdCreateParams)["type"])
    known = get_args(literal)
    assert {kind.stripe for kind in tax_ids.KINDS.values()} <= set(known)
