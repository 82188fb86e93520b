"""Addresses of one mailbox, and those that lead to none."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from accounts import mailbox, typed


@pytest.mark.parametrize(
    "one, other",
    [
        ("one@example.com", "one+a@example.com"),
        ("one@example.com", "ONE+b+c@EXAMPLE.com"),
        ("one@example.com", "one@ｅｘａｍｐｌｅ.com"),
        ("one@example.com", "one＠example.com"),
        ("one@example.com", "one@example。com"),
        ("one@bücher.example", "one@xn--bcher-kva.example"),
        ("one@bücher.example", "one@BÜCHER.example"),
        ("one.two@gmail.com", "onetwo+x@googlemail.com"),
        ("one@icloud.com", "one@me.com"),
        ("one.two@proton.me", "one_two@pm.me"),
    ],
)
def test_one_mailbox(one, other):
    assert mailbox.of(one) == mailbox.of(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("one@example.com", "two@example.com"),
        ("one@example.com", "one@example.org"),
        ("one.two@example.com", "onetwo@example.com"),
        ("+one@example.com", "+two@example.com"),
    ],
)
def test_two_mailboxes(one, other):
    assert mailbox.of(one) != mailbox.of(other)


@pytest.mark.parametrize(
    "email", ["one@ｅｘａｍｐｌｅ.com", "ONE@Example.COM", " one＠example.com "]
)
def test_an_address_is_stored_in_one_form(email):
    assert typed.email(email) == "one@example.com"


def test_a_domain_is_stored_as_people_read_it():
    assert typed.email("a@XN--BCHER-KVA.example") == "a@bücher.example"


@pytest.mark.parametrize(
    "email",
    [
        f"{'a' * 65}@example.com",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a@localhost",
        "a@-example.com",
        "a@ex--ample\u200b.com",
        "a@",
    ],
)
def test_what_mail_cannot_reach_is_refused(email, settings):
    settings.DEBUG = False
    with pytest.raises(ValidationError):
        mailbox.check_reachable(typed.email(email))


@pytest.mark.parametrize("email", ["a@example.com", "a.b+c@bücher.example", f"{'a' * 64}@x.com"])
def test_what_mail_can_reach_is_taken(email, settings):
    settings.DEBUG = False
    mailbox.check_reachable(typed.email(email))


def test_an_address_of_this_machine_is_fine_under_development(settings):
    settings.DEBUG = True
    mailbox.check_reachable("me@localhost")
