"""What a benchmark measures the ledger against must do the same work, or the ratio says nothing."""

import pytest
from django.db import connection

from bench import gate, million, setup
from bench.voice_check import sentences, wer
from billing.models import LedgerEntry, Paper, Payment, Reservation
from conftest import fund


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the gate is measured on PostgreSQL")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [gate.through_ledger, gate.straight])
def test_both_ways_through_the_gate_leave_the_same(alice, now, way):
    wallet = fund(alice, 100, now)

    with way([wallet.pk])(0) as once:
        once()

    wallet.refresh_from_db()
    assert (wallet.balance, wallet.reserved, wallet.version) == (90, 0, 3)
    assert wallet.grants.get().remaining == 90
    entry = LedgerEntry.objects.get(kind="capture")
    assert (entry.amount, entry.balance_after, entry.consumptions) == (
        -10,
        90,
        [[wallet.grants.get().pk, 10]],
    )
    assert entry.reservation == Reservation.objects.get(state="captured", captured=10)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the rows are filled there")
@pytest.mark.django_db(transaction=True)
def test_the_rows_of_the_million_fit_the_tables():
    for _ in range(2):
        setup.funded_customer(10**9)

    million.fill(setup.url(connection.settings_dict), rows=200, days=14, customers=2)

    assert LedgerEntry.objects.filter(kind="capture").count() == 200
    assert Payment.objects.count() == Paper.objects.count() == 40


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("Well-known, isn't it?", "well known isn’t it", 0),
        ("Our neighbours heard one shot.", "Our neighbors heard 1 shot!", 0),
        ("a b c d", "a x c", 2),
        ("a b", "a b c d", 2),
        ("¿Por qué no?", "por que no", 1),
        ("", "noise", 1),
    ],
)
def test_a_word_is_an_error_if_it_is_heard_as_another_left_out_or_put_in(said, heard, wrong):
    assert wer.errors(wer.words(said), wer.words(heard)) == wrong


def test_no_sentence_of_the_voice_check_is_spelled_with_figures():
    for texts in sentences.SENTENCES.values():
        assert len(set(texts)) == len(texts) >= 5
        assert not any(sign.isdigit() for text in texts for sign in text)
