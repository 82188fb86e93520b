"""A shop that sells prepaid credits, told with whichever official SDK for Python is there.

`python story.py ADDRESS` talks to a sandbox that stands at 2026-03-10, 09:00, receives its
webhooks, and prints what it saw as JSON.
"""

import hmac
import json
import queue
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import metronome

HOUR = datetime(2026, 3, 10, 9, tzinfo=UTC)
SECRET = "a secret of the shop"
RELEASE = "/v1/contracts/commits/threshold-billing/release"

arrived = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        arrived.put((body, dict(self.headers)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def main(address):
    client = metronome.Metronome(
        bearer_token="sandbox",
        base_url=address,
        max_retries=0,
        http_client=httpx.Client(trust_env=False),
        _strict_response_validation=True,
    )
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        listen(client, f"http://127.0.0.1:{server.server_port}/hooks")
        seen = sell(client)
        server.shutdown()
    return {"version": metronome.__version__, **seen}


def listen(client, url):
    client.post("/_sandbox/webhooks", cast_to=object, body={"url": url, "secret": SECRET})


def next_of(kind):
    """The next notification of a kind, verified as Metronome's documentation says."""
    while True:
        body, headers = arrived.get(timeout=30)
        signed = headers["X-Metronome-Date"].encode() + b"\n" + body.encode()
        expected = hmac.new(SECRET.encode(), signed, "sha256").hexdigest()
        assert hmac.compare_digest(headers["Metronome-Webhook-Signature"], expected)
        found = json.loads(body)
        if found["type"] == kind:
            return found["properties"]


def catalogue(v1):
    """Ids of the unit, the product of usage, the product of commits, and the rate card."""
    units = {unit.name: unit.id for unit in v1.pricing_units.list()}
    unit = units["Credits"]
    metric = v1.billable_metrics.create(
        name="Words",
        aggregation_type="SUM",
        aggregation_key="words",
        event_type_filter={"in_values": ["translation"]},
        property_filters=[{"name": "words", "exists": True}],
    ).data.id
    products = v1.contracts.products
    usage = products.create(name="Translation", type="USAGE", billable_metric_id=metric).data.id
    prepaid = products.create(name="Prepaid words", type="FIXED").data.id
    cards = v1.contracts.rate_cards
    card = cards.create(
        name="List",
        credit_type_conversions=[{"custom_credit_type_id": unit, "fiat_per_custom_credit": 1}],
    ).data.id
    cards.rates.add(
        rate_card_id=card,
        product_id=usage,
        entitled=True,
        rate_type="FLAT",
        price=2,
        credit_type_id=unit,
        starting_at=HOUR - timedelta(days=30),
    )
    return unit, usage, prepaid, card


def sell(client):
    v1, v2 = client.v1, client.v2
    unit, _, prepaid, card = catalogue(v1)
    customer = v1.customers.create(name="Ann", ingest_aliases=["ann"]).data.id
    item = {"amount": 5000, "starting_at": HOUR, "ending_before": HOUR + timedelta(days=30)}
    contract = v1.contracts.create(
        customer_id=customer,
        rate_card_id=card,
        starting_at=HOUR,
        commits=[
            {
                "product_id": prepaid,
                "type": "PREPAID",
                "access_schedule": {"credit_type_id": unit, "schedule_items": [item]},
            }
        ],
    ).data.id
    v2.contracts.edit(
        contract_id=contract,
        customer_id=customer,
        add_prepaid_balance_threshold_configuration={
            "commit": {"product_id": prepaid},
            "is_enabled": True,
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "threshold_amount": 1000,
            "recharge_to_amount": 6000,
            "custom_credit_type_id": unit,
        },
    )
    event = {
        "transaction_id": f"translation of {customer}",
        "customer_id": "ann",
        "event_type": "translation",
        "timestamp": HOUR.isoformat(),
        "properties": {"words": "2250"},
    }
    for _ in range(2):  # the second time it is known already
        v1.usage.ingest(usage=[event])
    after_usage = left(v1, customer)

    asked = next_of("payment_gate.external_initiate")
    body = {"workflow_id": asked["workflow_id"], "outcome": "paid"}
    client.post(RELEASE, cast_to=httpx.Response, body=body)
    after_recharge = left(v1, customer)

    client.post("/_sandbox/clock", cast_to=object, body={"advance_seconds": 40 * 86_400})
    invoices = list(v1.customers.invoices.list(customer_id=customer))
    kept = v2.contracts.retrieve(contract_id=contract, customer_id=customer).data
    return {
        "after_usage": after_usage,
        "invoice_total_cents": asked["invoice_total"],
        "after_recharge": after_recharge,
        "after_40_days": left(v1, customer),
        "commits": len(kept.commits),
        "invoices": sorted({f"{invoice.type} {invoice.status}" for invoice in invoices}),
    }


def left(v1, customer):
    """What is left of all that the customer has paid. Early SDKs know no net balance."""
    rows = v1.contracts.list_balances(
        customer_id=customer, include_balance=True, include_contract_balances=True
    )
    return sum(row.balance for row in rows)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201
