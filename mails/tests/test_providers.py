"""What a provider of mail may answer over HTTP, with a small real one."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager

import pytest

from jobs.errors import Rejected, Unavailable
from jobs.models import PausedJob
from jobs.worker import Worker
from mails import sending, transport, write
from mails.models import OutboundMail

from .provider import TAKEN, provider, use
from .samples import SAMPLES

# The package still speaks with SendGrid, and warns that it is not tried against it any more.
pytestmark = pytest.mark.filterwarnings("ignore:django-anymail has dropped official support")


@contextmanager
def postmark(settings, status: int = 200, answer: object = TAKEN):
    """A server that answers as Postmark does. Yields the mails it took, as it was given them."""
    with provider(status, answer) as (url, taken):
        use(settings, f"postmark://?server_token=token&api_url={url}")
        yield taken


def send() -> None:
    transport.send(to="alice@example.com", subject="Hello", text="Good day.", html="<p>Good day.")


def test_a_mail_goes_out_by_the_provider_with_its_headers(settings, alice, now):
    write(alice.user_id, "balance.low", "k", SAMPLES["balance.low"], now)
    with postmark(settings) as taken:
        Worker([sending.SEND], clock=lambda: now).drain()

    [(path, headers, body)] = taken
    sent = json.loads(body)
    assert OutboundMail.objects.get().state == "sent"
    assert path.startswith("/email") and headers["X-Postmark-Server-Token"] == "token"
    assert sent["To"] == "alice@example.com" and sent["TextBody"] and sent["HtmlBody"]
    names = {header["Name"] for header in sent["Headers"]}
    assert {"Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"} <= names


PROVIDERS = {
    "mailgun": ("api_key=k&sender_domain=mg.example", {"id": "<m-1>", "message": "Queued."}),
    "resend": ("api_key=k", {"id": "m-1"}),
    "sendgrid": ("api_key=k", {}),
    "brevo": ("api_key=k", {"messageId": "<m-1>"}),
    "amazon-ses": (
        "region_name=eu-west-1&aws_access_key_id=k&aws_secret_access_key=s",
        {"MessageId": "m-1"},
    ),
}


def address(name: str, url: str) -> str:
    """EMAIL_URL of this provider, played by the server at `url`."""
    parameter = "endpoint_url" if name == "amazon-ses" else "api_url"
    return f"{name}://?{PROVIDERS[name][0]}&{parameter}={url}"


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_takes_it(name, settings):
    with provider(answer=PROVIDERS[name][1]) as (url, taken):
        use(settings, address(name, url))
        send()

    [(_, _, body)] = taken
    is_raw = b"Raw" in body
    raw = base64.b64decode(json.loads(body)["Content"]["Raw"]["Data"]) if is_raw else body
    assert b"Good day" in raw.replace(b"+", b" ")


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (401, Unavailable), (429, Unavailable), (503, Unavailable)],
)
def test_every_provider_tells_now_from_never(name, status, kind, settings):
    with provider(status, {"message": "no"}) as (url, taken):
        use(settings, address(name, url))
        with pytest.raises(kind):
            send()

    assert len(taken) == 1  # nobody but the row's job tries again


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
def test_not_now_is_tried_again(status, settings):
    with postmark(settings, status, {"Message": "later"}), pytest.raises(Unavailable):
        send()


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_never_is_final(status, settings):
    answer = {"ErrorCode": 300, "Message": "no"}
    with postmark(settings, status, answer), pytest.raises(Rejected):
        send()


@pytest.mark.parametrize(
    "words",
    [
        "You tried to send to a recipient that has been marked as inactive.\n"
        "Found inactive addresses: alice@example.com.\nInactive recipients are ones that have "
        "generated a hard bounce, a spam complaint, or a manual suppression.",
        "They do not want to hear from you.",
    ],
)
def test_a_recipient_that_the_provider_refuses_is_final(words, settings):
    answer = {"ErrorCode": 406, "Message": words}
    with postmark(settings, 422, answer), pytest.raises(Rejected):
        send()


@pytest.mark.parametrize("answer", [b"<html>Log in", b"", b"null"])
def test_an_answer_that_nobody_understands_is_tried_again(answer, settings):
    with postmark(settings, 200, answer), pytest.raises(Unavailable):
        send()


@pytest.mark.parametrize("code", sorted(transport.SES_PASSING))
def test_a_limit_of_the_account_at_amazon_says_nothing_about_the_mail(code, settings):
    with provider(400, {"__type": code, "message": "no"}) as (url, _):
        use(settings, address("amazon-ses", url))
        with pytest.raises(Unavailable) as refused:
            send()

    assert refused.value.pause_seconds


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_pauses_the_job_and_counts_no_attempt(status, settings, alice, now):
    write(alice.user_id, "balance.low", "k", SAMPLES["balance.low"], now)
    with postmark(settings, status, {"ErrorCode": 10, "Message": "bad token"}):
        Worker([sending.SEND], clock=lambda: now).drain()

    row = OutboundMail.objects.get()
    assert (row.state, row.attempts, row.dead_at) == ("pending", 0, None)
    assert PausedJob.objects.get().name == "mails.send"


@pytest.mark.parametrize("name", PROVIDERS)
def test_nobody_at_the_address_is_tried_again(name, settings):
    with provider() as (url, _):
        pass
    use(settings, address(name, url))
    with pytest.raises(Unavailable):
        send()
