"""A web process that is asked to stop while it speaks ends soon, and gives the credits back."""

from __future__ import annotations

import threading
import time

import httpx
import pytest
from django.test import Client

from billing.models import Wallet
from usage.models import Generation

from . import processes

pytestmark = [
    pytest.mark.process,
    pytest.mark.kokoro,
    pytest.mark.django_db(transaction=True),
]
TOKEN = "t" * 32
LONG = "Every morning the harbour wakes before the city does, and nobody hears it. " * 11
SOON_SECONDS = 15  # speaking it takes half a minute; what takes longer is a worker's


def test_what_is_being_spoken_ends_with_the_process(alice, wallet, tmp_path):
    Wallet.objects.update(balance=10_000)
    env = processes.settings_env(
        database_url=processes.own_database_url(), metronome_url="http://localhost:1"
    )
    port = processes.free_port()
    command = ["-m", "daphne", "--port", str(port), "vocalis.asgi:application"]
    session = Client()
    session.force_login(alice.user)
    cookies = {"sessionid": session.cookies["sessionid"].value, "csrftoken": TOKEN}
    answers = []

    def speak(client: httpx.Client) -> None:
        try:
            form = {"text": LONG, "voice": "premium", "key": "k"}
            answers.append(client.post("/studio/", data=form).status_code)
        except httpx.TransportError:
            answers.append("the connection ended")

    headers = {"Accept": "application/json", "X-CSRFToken": TOKEN}
    with (
        processes.running(tmp_path / "web.log", *command, env=env) as web,
        processes.direct(f"http://127.0.0.1:{port}", cookies=cookies, headers=headers) as client,
    ):
        processes.wait_until(lambda: processes.answers(client, "/health"), "web process")
        client.timeout = 60
        speaking = threading.Thread(target=speak, args=[client])
        speaking.start()
        processes.wait_until(lambda: Wallet.objects.get().reserved, "reservation")
        time.sleep(1)
        web.terminate()

        assert web.wait(SOON_SECONDS) == 0
        speaking.join(5)

    assert answers in ([503], ["the connection ended"])
    assert Generation.objects.get().state == Generation.State.FAILED
    wallet = Wallet.objects.get()
    assert (wallet.reserved, wallet.balance) == (0, 10_000)
