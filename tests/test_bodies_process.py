"""Forms in a real daphne: nothing takes them apart before Django may."""

from __future__ import annotations

import threading

import pytest

from api.tests.test_outside import SHAPES

from .stopwatch import Stopwatch

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

FORM = "multipart/form-data"
PLACES = {"/v1/voices": "own", "/v1/voices/add": "elevenlabs", "/v1/audio/voices": "openai"}


@pytest.mark.parametrize("more", ["", "; boundary=", "; boundary=a"])
@pytest.mark.parametrize(("path", "dialect"), PLACES.items())
def test_a_form_that_cannot_be_read_is_refused_in_the_dialect(site, path, dialect, more):
    headers = {"content-type": FORM + more, "authorization": "Bearer vk_x"}

    answer = site.post(path, content=b"x", headers=headers)

    assert 400 <= answer.status_code < 500 and SHAPES[dialect](answer.json())


def test_a_large_form_of_anybody_keeps_nobody_waiting(site):
    """Twenty megabytes of line ends took seven seconds of the event loop."""
    head = b'--a\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    form = head + b"\n" * 20_000_000 + b"\r\n--a--\r\n"
    headers = {"content-type": f"{FORM}; boundary=a"}
    answers = []
    sending = threading.Thread(
        target=lambda: answers.append(site.post("/nothing/", content=form, headers=headers))
    )
    waits = []

    sending.start()
    while sending.is_alive():
        watch = Stopwatch()
        site.get("/health")
        waits.append(watch.seconds())
    sending.join()

    assert answers[0].status_code == 413
    assert max(waits) < 3
