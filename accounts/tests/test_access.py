import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from accounts.access import NO_CUSTOMER, customer_required

JSON = {"accept": "application/json"}


@customer_required
def view(request):
    return HttpResponse(request.customer.stable_alias)


def ask(rf, user, **headers):
    request = rf.get("/studio/?voice=one", headers=headers)
    request.user = user
    return view(request)


def test_a_customer_gets_in_and_is_on_the_request(rf, alice):
    assert ask(rf, alice.user).text == alice.stable_alias


def test_a_visitor_is_sent_to_log_in_and_back(rf):
    response = ask(rf, AnonymousUser())

    assert response.url == "/accounts/login/?next=/studio/%3Fvoice%3Done"


def test_a_program_without_a_session_is_told_401(rf):
    response = ask(rf, AnonymousUser(), **JSON)

    assert (response.status_code, response.content) == (401, b'{"error": "Log in first."}')


def test_an_operator_without_a_customer_is_refused(rf, staff):
    with pytest.raises(PermissionDenied, match="operator's account"):
        ask(rf, staff)
    assert ask(rf, staff, **JSON).status_code == 403


def test_an_operator_reads_why_on_the_page(client, staff):
    client.force_login(staff)

    response = client.get("/studio/")

    assert response.status_code == 403
    assert NO_CUSTOMER.replace("'", "&#x27;") in response.text
