"""What the tests share: a destination for webhooks and a shop that sells voice by credits."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx

from metronome_sandbox import DEFAULT_CREDIT_TYPE_ID

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
HOUR = NOW.replace(minute=0)
VC = DEFAULT_CREDIT_TYPE_ID


class Wire:
    """Receives deliveries; answers 200 unless told otherwise."""

    def __init__(self):
        self.status = 200
        self.received = []

    def __call__(self, url, body, headers):
        self.received.append((url, body, headers))
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    @property
    def bodies(self):
        return [json.loads(body) for _, body, _ in self.received]

    def of(self, type_):
        return [body for body in self.bodies if body["type"] == type_]

    @property
    def types(self):
        return [body["type"] for body in self.bodies]


class Shop:
    """A shop's objects at Metronome, and short words for what its customers do."""

    def __init__(self, client):
        self.client = client
        self.numbers = count(1)
        v1 = client.v1
        speech = v1.billable_metrics.create(
            name="Speech",
            aggregation_type="SUM",
            aggregation_key="text_length",
            event_type_filter={"in_values": ["voice_generation"]},
            property_filters=[
                {"name": "text_length", "exists": True},
                {"name": "voice_type", "exists": True},
            ],
            group_keys=[["voice_type"]],
        )
        cloning = v1.billable_metrics.create(
            name="Cloning",
            aggregation_type="COUNT",
            event_type_filter={"in_values": ["voice_cloning"]},
        )
        self.speech_metric = speech.data.id
        products = v1.contracts.products
        self.speech = products.create(
            name="Voice generation",
            type="USAGE",
            billable_metric_id=speech.data.id,
            pricing_group_key=["voice_type"],
        ).data.id
        self.cloning = products.create(
            name="Voice cloning", type="USAGE", billable_metric_id=cloning.data.id
        ).data.id
        self.credits = products.create(name="Shop credits", type="FIXED").data.id
        cards = v1.contracts.rate_cards
        self.card = cards.create(
            name="Voices",
            credit_type_conversions=[
                {"custom_credit_type_id": VC, "fiat_per_custom_credit": 0.025}
            ],
        ).data.id
        common = {
            "entitled": True,
            "rate_type": "FLAT",
            "credit_type_id": VC,
            "starting_at": "2026-01-01T00:00:00Z",
        }
        cards.rates.add_many(
            rate_card_id=self.card,
            rates=[
                {
                    **common,
                    "product_id": self.speech,
                    "price": 1,
                    "pricing_group_values": {"voice_type": "standard"},
                },
                {
                    **common,
                    "product_id": self.speech,
                    "price": 2,
                    "pricing_group_values": {"voice_type": "premium"},
                },
                {**common, "product_id": self.cloning, "price": 25_000},
            ],
        )

    def customer(self, alias="alice"):
        return self.client.v1.customers.create(name=alias.title(), ingest_aliases=[alias]).data.id

    def commit(self, amount, *, starting_at=HOUR, days=14, cents=None, **extra):
        item = {
            "product_id": self.credits,
            "type": "PREPAID",
            "access_schedule": {
                "credit_type_id": VC,
                "schedule_items": [
                    {
                        "amount": amount,
                        "starting_at": starting_at,
                        "ending_before": starting_at + timedelta(days=days),
                    }
                ],
            },
            **extra,
        }
        if cents is not None:
            item["invoice_schedule"] = {
                "schedule_items": [{"timestamp": NOW, "unit_price": cents, "quantity": 1}]
            }
        return item

    def contract(self, customer_id, *commits, starting_at=HOUR, **extra):
        return self.client.v1.contracts.create(
            customer_id=customer_id,
            starting_at=starting_at,
            rate_card_id=self.card,
            commits=list(commits),
            **extra,
        ).data.id

    def recharge(self, threshold=25_000, to=200_000, enabled=True, **extra):
        return {
            "commit": {"product_id": self.credits},
            "is_enabled": enabled,
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "threshold_amount": threshold,
            "recharge_to_amount": to,
            "custom_credit_type_id": VC,
            **extra,
        }

    def event(self, subject, characters, *, voice="standard", at=NOW, key=None):
        return {
            "transaction_id": key or f"event-{next(self.numbers)}",
            "customer_id": subject,
            "event_type": "voice_generation",
            "timestamp": at.isoformat(),
            "properties": {"text_length": str(characters), "voice_type": voice},
        }

    def speak(self, subject, characters, **options):
        self.client.v1.usage.ingest(usage=[self.event(subject, characters, **options)])

    def net(self, customer_id, unit=VC):
        return self.client.v1.contracts.get_net_balance(
            customer_id=customer_id, credit_type_id=unit
        ).data.balance

    def balances(self, customer_id, **options):
        options = {"include_balance": True, "include_contract_balances": True, **options}
        return list(self.client.v1.contracts.list_balances(customer_id=customer_id, **options))

    def release(self, workflow_id, outcome):
        return self.client.post(
            "/v1/contracts/commits/threshold-billing/release",
            cast_to=httpx.Response,
            body={"workflow_id": workflow_id, "outcome": outcome},
        )
