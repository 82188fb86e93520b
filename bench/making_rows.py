"""Rows around making and programs for `bench.million`: to each text an event told to an endpoint,
half of them asked for by an API key and in a folder, and for each fifth a mail and a banner.

The newest text and payment of the customer with most of them have the same ids in both databases.
"""

BEFORE = (
    """INSERT INTO accounts_apikey
       (id, customer_id, name, secret_sha256, first_characters, last_characters, scopes,
        created_at, idempotency_sha256, request_sha256)
SELECT md5('key' || n)::uuid, customer, 'filled', md5('key' || n), 'vk_AAAAA', 'AAAA',
       '["speech", "read"]', now(), '', ''
  FROM who""",
    """INSERT INTO billing_keybudget
       (api_key_id, limit_credits, period, period_start_at, spent, held)
SELECT md5('key' || n)::uuid, NULL, 'none', now(), 0, 0 FROM who""",
    """INSERT INTO usage_folder (id, customer_id, name, created_at)
SELECT md5('folder' || n)::uuid, customer, 'Filled', now() FROM who""",
)
FILL = (
    """INSERT INTO notifications_webhookendpoint
       (id, customer_id, url, events, secret, former_secret, rotations, is_enabled,
        disabled_because, key, body_hash, created_at)
SELECT md5('endpoint' || n)::uuid, customer, 'https://hooks.example.com/', '["balance.low"]',
       'whsec_none', '', 0, TRUE, '', md5('endpoint' || n), '', now()
  FROM who""",
    """INSERT INTO notifications_outboundwebhook
       (id, endpoint_id, kind, key, body, state, tries, give_up_at, tried_at, status, answer,
        failure, milliseconds, created_at, attempts, last_error)
SELECT id, md5('endpoint' || n)::uuid, 'balance.low', id, '{"type": "balance.low"}',
       CASE WHEN i %% 3 = 0 THEN 'failed' ELSE 'delivered' END, 1, at, at, 200, 'OK', '', 80, at,
       0, ''
  FROM spoken""",
    """INSERT INTO mails_outboundmail
       (id, user_id, kind, key, data, "to", state, skipped_because, sent_to, sent_at, created_at,
        attempts, last_error)
SELECT s.id, user_id, 'balance_low', s.id, '{}', '', 'sent', '', 'someone@example.com', at, at,
       0, ''
  FROM spoken s JOIN accounts_customer c ON c.id = customer WHERE i %% 5 = 0""",
    """INSERT INTO notifications_banner
       (customer_id, kind, key, data, urgency, until_at, created_at, closed_at)
SELECT customer, 'balance_low', id, '{}', 5, at + interval '1 day', at, at
  FROM spoken WHERE i %% 5 = 0""",
)

# The ids are those of `million.ids`.
PAGES = (
    "/usage/?q=credit",
    "/studio/library/",
    "/studio/library/?q=credit",
    "/studio/library/?q=nowhere",
    "/studio/library/?folder={folder}",
    "/studio/{text}/",
    "/studio/{text}/receipt/",
    "/voices/",
    "/webhooks/",
    "/webhooks/{endpoint}/",
    "/keys/",
    "/accounts/mail/",
    "/accounts/devices/",
)
# What programs ask.
CALLS = (
    "/v1/generations",
    "/v1/ledger",
    "/v1/usage",
    "/v1/keys",
    "/v1/webhooks/{endpoint}/deliveries",
    "/v1/history",
)
