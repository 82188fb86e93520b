"""What a mail server may answer, at every stage of the dialogue, with a small real one."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager

import pytest

from jobs import queue
from jobs.errors import Rejected, Unavailable
from jobs.worker import Worker
from mails import sending, transport, write
from mails.models import OutboundMail

STAGES = ["CONNECT", "HELO", "AUTH", "MAIL", "RCPT", "DATA", "BODY"]
USUAL = {"CONNECT": "220 hello", "AUTH": "235 it is you", "DATA": "354 go on"}
HANG_UP = ""


@contextmanager
def mail_server(settings, **answers):
    """A mail server that answers as usual but for the stages given; HANG_UP ends the connection.
    Yields the mails it took."""
    taken: list[str] = []

    class Dialogue(socketserver.StreamRequestHandler):
        def answer(self, stage: str, usual: str = "250 fine") -> bool:
            reply = answers.get(stage, USUAL.get(stage, usual))
            self.wfile.write(f"{reply}\r\n".encode() if reply else b"")
            return reply != HANG_UP

        def handle(self) -> None:
            is_open = self.answer("CONNECT")
            while is_open and (line := self.rfile.readline().decode()):
                command = line.split()[0].upper()
                if command == "EHLO":  # a refused EHLO is asked once more, as HELO
                    is_open = self.answer("HELO", "250-me\r\n250 AUTH PLAIN")
                elif is_open := self.answer(command):
                    if command == "DATA" and answers.get("DATA", "3")[0] == "3":
                        text = self.text()
                        if is_open := text is not None and self.answer("BODY"):
                            taken.append(text)
                    is_open = is_open and command != "QUIT"

        def text(self) -> str | None:
            """A mail's, up to the dot that ends it; None if the client leaves before."""
            lines: list[str] = []
            while line := self.rfile.readline().decode():
                if line == ".\r\n":
                    return "".join(lines)
                lines.append(line)
            return None

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Dialogue) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD, settings.EMAIL_TIMEOUT = (
            "vocalis",
            "secret",
            5,
        )
        yield taken
        server.shutdown()


def send() -> None:
    transport.send(to="alice@example.com", subject="Hello", text="Good day.", html="<p>Good day.")


def test_a_mail_that_is_taken_is_sent(settings):
    with mail_server(settings) as taken:
        send()

    assert len(taken) == 1 and "Subject: Hello" in taken[0]


@pytest.mark.parametrize("code", [421, 450, 454])
@pytest.mark.parametrize("stage", STAGES)
def test_not_now_is_tried_again_at_every_stage(stage, code, settings):
    with mail_server(settings, **{stage: f"{code} not now"}), pytest.raises(Unavailable):
        send()


@pytest.mark.parametrize("code", [535, 550, 554])
@pytest.mark.parametrize("stage", STAGES)
def test_never_is_final_at_every_stage(stage, code, settings):
    with mail_server(settings, **{stage: f"{code} never"}), pytest.raises(Rejected, match="never"):
        send()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("answer", [HANG_UP, "what?", "399 unheard of"])
def test_a_server_that_hangs_up_or_talks_nonsense_is_tried_again_at_every_stage(
    stage, answer, settings
):
    with mail_server(settings, **{stage: answer}), pytest.raises(Unavailable):
        send()


def test_a_server_that_takes_a_mail_and_does_not_say_goodbye_has_taken_it(settings):
    with mail_server(settings, QUIT=HANG_UP) as taken:
        send()

    assert len(taken) == 1


def test_a_grey_listed_mail_is_sent_at_a_later_try(settings, alice, now):
    write(alice.user_id, "balance.depleted", "k", {"balance": 0}, now)
    with mail_server(settings, RCPT="450 4.2.0 greylisted, come back later"):
        Worker([sending.SEND], clock=lambda: now).drain()
    mail = OutboundMail.objects.get()
    assert (mail.attempts, mail.dead_at) == (1, None)
    assert 0 < (mail.due_at - now).total_seconds() <= queue.BACKOFF_MAX_SECONDS
    assert "450" in mail.last_error

    with mail_server(settings) as taken:
        Worker([sending.SEND], clock=lambda: mail.due_at).drain()

    assert len(taken) == 1
    mail.refresh_from_db()
    assert (mail.due_at, mail.attempts, mail.dead_at, mail.last_error) == (None, 0, None, "")


def test_a_mail_to_nobody_is_given_up_at_the_first_try(settings, alice, now):
    write(alice.user_id, "balance.depleted", "k", {"balance": 0}, now)

    with mail_server(settings, RCPT="550 5.1.1 no such mailbox"):
        Worker([sending.SEND], clock=lambda: now).drain()

    mail = OutboundMail.objects.get()
    assert (mail.attempts, mail.dead_at) == (1, now)
    assert (
        mail.last_error.startswith("Rejected: the mail server refuses")
        and "no such mailbox" in mail.last_error
    )
