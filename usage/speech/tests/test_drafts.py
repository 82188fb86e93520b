"""The draft in the studio: kept, never overwritten unknowingly, never in the way of money."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections

from usage.models import Draft
from usage.speech import drafts
from usage.speech.problems import Refused


@pytest.fixture
def save(alice, now):
    def save(text, version, **how):
        return drafts.save(
            customer=alice, typed=drafts.Typed(text), version=version, now=now, **how
        )

    return save


def test_a_draft_is_kept_as_it_was_typed(alice, now):
    typed = drafts.typed(
        {"text": "One\r\ntwo\0 ", "voice": "premium-nora", "speed": "1.5", "pause_seconds": ""}
    )
    drafts.save(customer=alice, typed=typed, version=0, now=now)

    kept = drafts.of(alice)
    assert (kept.text, kept.voice, kept.manner) == ("One\ntwo ", "premium-nora", {"speed": "1.5"})
    assert (kept.version, kept.changed_at) == (1, now)


def test_who_has_none_has_an_empty_one_that_is_not_stored(alice):
    assert (drafts.of(alice).text, drafts.of(alice).version) == ("", 0)
    assert not Draft.objects.exists()


def test_each_customer_has_one_draft_of_their_own(save, alice, bob):
    save("mine", 0)

    assert drafts.of(bob).text == ""


def test_saving_twice_is_saving_once(save):
    first = save("One", 0)

    assert save("One", 0).version == first.version == 1, "the answer to the first was lost"


def test_of_two_pages_the_later_one_is_told_and_nothing_is_lost(save, alice):
    save("One", 0)
    save("Two", 1)
    with pytest.raises(drafts.DraftChanged) as refused:
        save("Other", 1)

    assert (refused.value.draft.text, refused.value.draft.version) == ("Two", 2)
    assert drafts.of(alice).text == "Two"
    kept = save("Other", 2, replaces=True)
    assert (kept.text, kept.former_text) == ("Other", "Two")


def test_a_page_that_saw_no_draft_does_not_overwrite_the_first_one(save, alice):
    save("One", 0)
    with pytest.raises(drafts.DraftChanged):
        save("Other", 0)


@pytest.mark.parametrize("former", ["", " \n", "Same"])
def test_what_says_nothing_or_the_same_is_not_put_aside(save, former):
    save(former, 0)

    assert save("Same", 1, replaces=True).former_text == ""


def test_a_former_text_changes_places_with_the_one_that_is_typed(save, alice, now):
    save("One", 0)
    save("Two", 1, replaces=True)
    back = drafts.restore(customer=alice, typed=drafts.Typed("Three"), version=2, now=now)

    assert (back.text, back.former_text, back.version) == ("One", "Three", 3)
    with pytest.raises(drafts.DraftChanged):
        drafts.restore(customer=alice, typed=drafts.Typed("Four"), version=2, now=now)


def test_without_a_former_text_nothing_is_brought_back(save, alice, now):
    save("One", 0)
    same = drafts.restore(customer=alice, typed=drafts.Typed("Two"), version=1, now=now)

    assert (same.text, same.version) == ("One", 1)


def test_a_draft_has_a_size(save, alice):
    save("x" * drafts.CHARACTERS_MAX, 0)
    with pytest.raises(Refused, match="20,000"):
        save("x" * (drafts.CHARACTERS_MAX + 1), 1)

    assert len(drafts.of(alice).text) == drafts.CHARACTERS_MAX


@pytest.mark.parametrize("voice", ["x" * 121, "\0"])
def test_a_voice_that_can_be_none_is_left_out(voice):
    assert drafts.typed({"voice": voice}).voice == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("version", [0, 1])
def test_of_two_in_the_same_instant_one_is_first(alice, now, version):
    if version:
        drafts.save(customer=alice, typed=drafts.Typed("first"), version=0, now=now)
    outcomes = []
    ready = threading.Barrier(2)

    def write(text):
        ready.wait()
        try:
            typed = drafts.Typed(text)
            drafts.save(
                customer=alice, typed=typed, version=version, now=now + timedelta(seconds=1)
            )
            outcomes.append(text)
        except drafts.DraftChanged:
            outcomes.append("told")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=[text]) for text in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes)[1] == "told"
    assert drafts.of(alice).text == sorted(outcomes)[0]
