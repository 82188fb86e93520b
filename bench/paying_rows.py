"""Rows of paying for `bench.million`: for each fifth text a payment with all that hangs on it.

Three quarters are recharges, the others top-ups; one half failed, the other was paid and refunded.
"""

import json

IS_PACK = "(i / 10) %% 4 = 1"
IS_PAID = "(i / 10) %% 2 = 0"

PRINTED = json.dumps(
    {
        "title": "Receipt",
        "seller": {"name": "Vocalis", "address": [], "tax_id": ""},
        "buyer": {"name": "Bench Mark", "address": [], "tax_id": ""},
        "lines": [],
        "tax_cents": 0,
        "total_cents": 4900,
        "total_words": "Paid",
        "paid_with": "Visa •••• 4242",
        "about": [],
        "note": "",
    }
)
FILL = (
    f"""INSERT INTO billing_payment
       (id, customer_id, kind, state, amount_cents, tax_cents, currency, gateway,
        gateway_reference, is_by_metronome, attempt_number, failure, decline, declined_card,
        refused_cards,
        created_at, settled_at, attempts, last_error)
SELECT id, customer, CASE WHEN {IS_PACK} THEN 'pack' ELSE 'recharge' END,
       CASE WHEN {IS_PAID} THEN 'refunded' ELSE 'failed' END, 4900, 0, 'USD', 'stripe',
       id, FALSE, 1, CASE WHEN {IS_PAID} THEN '' ELSE 'Declined.' END,
       CASE WHEN {IS_PAID} THEN '' ELSE 'later' END, '', '[]', at, at, 0, ''
  FROM spoken WHERE i %% 5 = 0""",
    f"""INSERT INTO billing_paymentattempt
       (payment_id, number, key, method_reference, fingerprint, label, amount_cents, currency,
        parameters, created_at, first_sent_at, is_doubtful, outcome, decline, message,
        gateway_reference, refund_reference, receipt_url, is_at_page, page_reference)
SELECT id, 1, 'vocalis-payment-' || id || '-1', 'pm_1', 'f1', 'Visa •••• 4242', 4900, 'USD',
       '{{}}', at, at, FALSE, CASE WHEN {IS_PAID} THEN 'paid' ELSE 'declined' END,
       CASE WHEN {IS_PAID} THEN '' ELSE 'later' END, '', id, '', '', FALSE, ''
  FROM spoken WHERE i %% 5 = 0""",
    f"""INSERT INTO billing_recharge
       (customer_id, state, workflow_id, invoice_id, invoice_total, payment_id, release_refusal,
        refusal, failure, created_at, settled_at, attempts, last_error)
SELECT customer, 'failed', id, id, '4900', id, '', '', 'Declined.', at, at, 0, ''
  FROM spoken WHERE i %% 5 = 0 AND NOT {IS_PACK}""",
    f"""INSERT INTO billing_purchase
       (customer_id, state, key, amount_cents, credits, payment_id, failure, created_at,
        settled_at, attempts, last_error)
SELECT customer, 'failed', id, 4900, 196000, id, 'Declined.', at, at, 0, ''
  FROM spoken WHERE i %% 5 = 0 AND {IS_PACK}""",
    f"""INSERT INTO billing_refund
       (payment_id, customer_id, state, amount_cents, credits, reason, number, reference, failure,
        created_at, settled_at, attempts, last_error)
SELECT id, customer, 'paid_back', 4900, 0, 'You asked for it.', 1, 're_' || id, '', at, at, 0, ''
  FROM spoken WHERE i %% 5 = 0 AND {IS_PAID}""",
    """INSERT INTO billing_dispute
       (payment_id, customer_id, gateway, reference, state, status, reason, amount_cents,
        created_at, settled_at, attempts, last_error)
SELECT id, customer, 'stripe', 'dp_' || id, CASE WHEN i %% 15 = 0 THEN 'lost' ELSE 'won' END,
       'won', 'fraudulent', 4900, at, at, 0, ''
  FROM spoken WHERE i %% 5 = 0""",
    """INSERT INTO billing_paymentalert
       (id, payment_id, customer_id, kind, reference, detail, amount_cents, created_at, closed_at,
        closed_because)
SELECT id, id, customer, 'early_warning', 'issfr_' || id, '', 4900, at, at, 'refunded or disputed'
  FROM spoken WHERE i %% 5 = 0""",
    """INSERT INTO billing_invoice
       (customer_id, remote_id, kind, status, total_cents, lines, dated_at, payment_id)
SELECT customer, id, 'scheduled', 'finalized', 4900, '[]', at,
       CASE WHEN i %% 3 = 0 THEN NULL ELSE id END
  FROM spoken WHERE i %% 5 = 0""",
    f"""INSERT INTO billing_paper (customer_id, kind, number, payment_id, content, issued_at)
SELECT customer, kind, left(kind, 3) || '-' || id, id, '{PRINTED}', at
  FROM spoken, unnest(array['receipt', 'refund']) kind WHERE i %% 5 = 0 AND {IS_PAID}""",
)

PAGES = (
    "/billing/invoices/",
    "/billing/invoices/?year=2026",
    "/billing/plans/",
    "/billing/top-up/?pack=2500",
    "/billing/recharge/",
    "/billing/profile/",
)
# Lists of the admin: the field by which they are narrowed to one customer.
LISTS = {
    "billing/payment": "customer__id__exact",
    "billing/recharge": "customer__id__exact",
    "billing/purchase": "customer__id__exact",
    "billing/refund": "customer__id__exact",
    "billing/dispute": "customer__id__exact",
    "billing/paymentalert": "customer__id__exact",
    "billing/paper": "customer__id__exact",
    "billing/invoice": "customer__id__exact",
}
