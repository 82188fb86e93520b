"""The words of every kind of mail, in both forms."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.utils import timezone

from accounts.models import User
from mails import render
from mails.kinds import KINDS
from mails.models import OutboundMail
from notifications.kinds import NOTICES

from .samples import SAMPLES

KINDS_OF_MAIL = sorted(KINDS)


class Seen(HTMLParser):
    """What a mail program shows of HTML, and where it leads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.links, self._hidden = "", [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._hidden += tag in ("style", "title")
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self._hidden -= tag in ("style", "title")

    def handle_data(self, data):
        if not self._hidden:
            self.text += f"{data} "


def rendered(kind, *, data=None, name="Ada", confirmed=True):
    user = User(
        pk=7,
        email="ada@example.com",
        first_name=name,
        password="x",
        email_confirmed_at=timezone.now() if confirmed else None,
    )
    row = OutboundMail(user=user, kind=kind, key="k", data=SAMPLES[kind] if data is None else data)
    return render.render(row, to=user.email)


def test_every_notice_is_a_kind_of_mail_and_has_a_sample():
    assert set(NOTICES) < set(KINDS) == set(SAMPLES)


@pytest.mark.parametrize("kind", KINDS_OF_MAIL)
def test_a_mail_is_whole_sentences_after_the_salutation(kind):
    mail = rendered(kind)
    assert re.fullmatch(r"[A-Z0-9$][^\n]{4,78}", mail.subject), mail.subject

    body, _, foot = mail.text.partition("\n\nVocalis\n\n--\n")
    salutation, *paragraphs = body.split("\n\n")
    assert salutation == "Hello Ada,"
    assert foot.startswith("You get this mail because ada@example.com ")
    assert paragraphs
    for paragraph in paragraphs:
        assert re.match(r"[A-Z0-9$]|https?://", paragraph), paragraph
        lines = paragraph.split("\n")
        if re.match(r"[A-Z][\w ]+: ", lines[0]) and not paragraph.endswith("."):  # rows of facts
            assert all(re.fullmatch(r"[A-Z][\w ]+: \S.*", line) for line in lines), paragraph
        elif len(lines) == 2:  # a button
            assert re.fullmatch(r"[A-Z][^:]+:", lines[0]) and lines[1].startswith("http"), paragraph
        else:
            assert re.search(r"[.?]$", paragraph), paragraph
    assert "by themselves" not in mail.text


@pytest.mark.parametrize("kind", KINDS_OF_MAIL)
def test_both_forms_say_the_same_and_lead_to_the_same_places(kind):
    mail = rendered(kind)
    seen = Seen(mail.html)

    words = re.findall(r"[\w$,%]+", re.sub(r"https?://\S+", "", mail.text))
    assert [word for word in words if word.strip(",") not in seen.text] == []
    assert {link.rstrip(".") for link in re.findall(r"https?://[^\s<>]+", mail.text)} == {
        link for link in seen.links if link.startswith("http")
    }


@pytest.mark.parametrize("kind", KINDS_OF_MAIL)
def test_to_an_address_that_nobody_confirmed_goes_no_word_of_the_senders(kind):
    mail = rendered(kind, name="Zxqv", confirmed=False)

    assert "Zxqv" not in mail.subject + mail.text + mail.html
    assert mail.text.startswith("Hello,\n")


@pytest.mark.parametrize("kind", KINDS_OF_MAIL)
def test_what_is_said_is_escaped_in_html_and_as_it_is_in_text(kind):
    mail = rendered(kind, name="<b>Ada & Co</b>")

    assert "Hello <b>Ada & Co</b>," in mail.text
    assert "Hello &lt;b&gt;Ada &amp; Co&lt;/b&gt;," in mail.html


@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_MAIL if KINDS[kind].fields])
def test_a_mail_that_lacks_what_it_says_is_not_sent_half(kind):
    with pytest.raises(render.DataMissing, match=KINDS[kind].fields[0]):
        rendered(kind, data={})


@pytest.mark.parametrize("kind", KINDS_OF_MAIL)
def test_only_mails_that_can_be_turned_off_have_a_link_for_it(kind):
    mail = rendered(kind)

    assert ("/accounts/mail/off/" in mail.text) == KINDS[kind].is_optional
    assert ("/accounts/mail/off/" in mail.html) == KINDS[kind].is_optional
    money = ("payment.", "plan.", "recharge.", "renewal.", "account.")
    assert not (kind.startswith(money) and KINDS[kind].is_optional)


def test_a_declined_renewal_that_is_not_tried_again_says_so():
    data = SAMPLES["renewal.declined"] | {"next_attempt_at": None}

    text = rendered("renewal.declined", data=data).text

    assert "Tried again on" not in text and "This card is not tried again." in text


@pytest.mark.parametrize("state", ["inquiry", "withdrawn", "won", "lost"])
def test_a_dispute_says_what_its_state_means(state):
    data = SAMPLES["payment.disputed"] | {"state": state}
    texts = {
        "inquiry": "You need do nothing",
        "withdrawn": "your credits are frozen",
        "won": "can be used again",
        "lost": "is gone",
    }

    assert texts[state] in rendered("payment.disputed", data=data).text
    owed = rendered("payment.disputed", data=data | {"is_owed": True}).text
    assert ("They are added now" in owed) == (state == "won")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "You are still owed this money"),
        ({"is_called_off": True}, "The 60,000 credits that we had taken back with it are yours"),
        ({"is_called_off": True, "is_disputed": True, "credits": 0}, "your bank decides over"),
    ],
)
def test_a_refund_that_failed_says_what_holds_now(data, words):
    text = rendered("payment.refund_failed", data=SAMPLES["payment.refund_failed"] | data).text

    assert words in text
    assert ("are yours again" in text) == (data.get("credits") != 0 and "is_called_off" in data)
