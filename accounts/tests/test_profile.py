import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail, signing
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import confirmation, profile
from accounts.aliases import EmailTaken
from accounts.models import Customer, IngestAlias, User
from conftest import PASSWORD
from jobs import queue
from jobs.worker import Worker
from mails import sending
from mails.models import OutboundMail


def aliases(customer) -> dict[str, str]:
    return dict(customer.aliases.values_list("kind", "name"))


def save(client, customer, **changes):
    client.force_login(customer.user)
    answers = {"first_name": "Alice", "last_name": "Tester", "email": customer.user.email} | changes
    return client.post("/accounts/profile/", answers)


def provisioned(customer, now):
    """The customer as the worker leaves it after provisioning."""
    customer.aliases.update(pushed_at=now)
    Customer.objects.filter(pk=customer.pk).update(due_at=None)
    return customer


def test_names_change_without_a_password_and_are_pushed_by_the_worker(client, alice, now):
    provisioned(alice, now)

    assert save(client, alice, first_name="Alicia", last_name="de Test").url == "/accounts/profile/"

    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email) == (
        "Alicia",
        "de Test",
        "alice@example.com",
    )
    assert not alice.aliases.filter(pushed_at=None).exists()
    assert Customer.objects.get().due_at >= now


def test_the_same_names_again_make_nothing_due(client, alice, now):
    provisioned(alice, now)

    save(client, alice)

    assert Customer.objects.get().due_at is None


def link_to(address) -> str:
    """The path of the link that was last sent there."""
    Worker([sending.SEND], clock=lambda: timezone.now() + timedelta(days=1)).drain()
    message = [message for message in mail.outbox if message.to == [address]][-1]
    return re.search(r"http://localhost:8000(/accounts/confirm/\S+)", message.body)[1]


def move(customer, email, now) -> None:
    """Ask for the address, and confirm it."""
    names = {"first_name": "A", "last_name": "T"}
    profile.change(user=customer.user, email=email, now=now, **names)
    token = signing.dumps([customer.user_id, email], salt=confirmation.SALT)
    confirmation.confirm(token, now)
    customer.user.refresh_from_db()


def test_a_new_address_is_used_once_it_is_confirmed_and_the_former_one_told(client, alice, now):
    provisioned(alice, now)

    assert (
        save(client, alice, email="New@Example.com", current_password=PASSWORD).status_code == 302
    )
    user = User.objects.get()
    assert (user.email, user.new_email) == ("alice@example.com", "new@example.com")
    assert aliases(alice)["email"] == "vocalis_alice@example.com"
    assert "new@example.com waits for your confirmation" in client.get("/accounts/profile/").text

    path = link_to("new@example.com")
    assert "new@example.com" in Client().get(path).text
    assert User.objects.get().email == "alice@example.com"  # a program only looked
    assert Client().post(path).status_code == 302

    user = User.objects.get()
    assert (user.email, user.new_email) == ("new@example.com", "")
    assert user.email_confirmed_at is not None
    Worker([sending.SEND], clock=lambda: timezone.now() + timedelta(days=1)).drain()
    assert (mail.outbox[-1].to, mail.outbox[-1].subject) == (
        ["alice@example.com"],
        "Your e-mail address at Vocalis was changed",
    )
    assert "new@example.com" not in mail.outbox[-1].body
    assert aliases(alice) == {"stable": alice.stable_alias, "email": "vocalis_new@example.com"}
    assert alice.aliases.get(kind="email").pushed_at is None
    assert alice.aliases.get(kind="stable").pushed_at == now
    assert Customer.objects.get().due_at >= now


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_present_address_hears_of_the_request_if_its_owner_has_confirmed_it(
    client, alice, now, confirmed
):
    User.objects.update(email_confirmed_at=now if confirmed else None)
    alice.user.refresh_from_db()
    save(client, alice, email="new@example.com", current_password=PASSWORD)

    asked = OutboundMail.objects.filter(kind="account.address_asked")
    assert [row.to for row in asked] == ["alice@example.com"] * confirmed


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "Enter your current password to change your e-mail address."),
        ("wrong", "This is not your current password."),
    ],
)
def test_a_new_address_needs_the_current_password(client, alice, password, words):
    response = save(client, alice, email="new@example.com", current_password=password)

    assert response.context["form"].errors == {"current_password": [words]}
    assert User.objects.get().email == "alice@example.com"


def test_the_same_address_in_another_case_is_no_change(client, alice, now):
    provisioned(alice, now)

    assert save(client, alice, email="ALICE@example.com").status_code == 302
    assert Customer.objects.get().due_at is None


def test_an_address_of_someone_else_is_refused_and_changes_nothing(client, alice, bob):
    response = save(
        client, alice, first_name="Bob", email="BOB@example.com", current_password=PASSWORD
    )

    assert response.context["form"].errors == {
        "email": ["There is already an account for this e-mail address."]
    }
    assert User.objects.get(pk=alice.user.pk).first_name == "Alice"
    assert aliases(alice)["email"] == "vocalis_alice@example.com"


def test_an_alias_of_someone_else_is_refused_and_changes_nothing(alice, bob, now):
    User.objects.filter(pk=bob.user.pk).update(email="moved-by-an-operator@example.com")

    with pytest.raises(EmailTaken):
        profile.change(
            user=alice.user, first_name="A", last_name="T", email="bob@example.com", now=now
        )
    assert User.objects.get(pk=alice.user.pk).email == "alice@example.com"
    assert aliases(alice)["email"] == "vocalis_alice@example.com"


def test_an_address_given_up_is_free_for_another(alice, bob, now):
    move(alice, "new@example.com", now)
    move(bob, "alice@example.com", now)

    assert aliases(bob)["email"] == "vocalis_alice@example.com"


def test_a_worker_that_is_pushing_the_old_alias_does_not_mark_the_new_one(alice, now):
    [claimed] = queue.claim(Customer, now=now + timedelta(seconds=1), limit=1, lease_seconds=60)
    pushing = [alias.pk for alias in claimed.aliases.all()]

    move(alice, "new@example.com", now + timedelta(seconds=2))
    IngestAlias.objects.filter(pk__in=pushing).update(pushed_at=now)
    queue.complete([claimed])

    assert alice.aliases.get(kind="email").pushed_at is None
    assert Customer.objects.get().due_at == now + timedelta(seconds=2)


def test_an_operator_without_a_customer_can_change_their_address(client, staff, now):
    client.force_login(staff)
    answers = {
        "first_name": "Sam",
        "last_name": "Staff",
        "email": "sam@example.com",
        "current_password": PASSWORD,
    }

    assert client.post("/accounts/profile/", answers).status_code == 302
    assert client.post(link_to("sam@example.com")).status_code == 302
    assert User.objects.get().email == "sam@example.com"
    assert not IngestAlias.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_tabs_changing_the_address_leave_one_alias_that_fits_it(alice, now):
    def change(email):
        try:
            move(alice, email, now)
        except confirmation.LinkRefused:
            pass  # the other tab has asked for another one meanwhile
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, [f"tab{number}@example.com" for number in range(8)]))

    assert aliases(alice)["email"] == f"vocalis_{User.objects.get().email}"
    assert alice.aliases.count() == 2


def test_a_profile_saved_while_its_account_is_closed_changes_nothing(alice, now):
    provisioned(alice, now)
    User.objects.update(is_active=False)  # the request began before

    profile.change(
        user=alice.user, first_name="New", last_name="Name", email="new@example.com", now=now
    )

    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email) == ("Alice", "Tester", "alice@example.com")
    assert aliases(alice) == {"stable": alice.stable_alias, "email": "vocalis_alice@example.com"}
    assert Customer.objects.get().due_at is None
