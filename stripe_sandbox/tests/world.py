"""What the tests share: a shop with customers and cards, and a destination for its webhooks."""

import json
from datetime import UTC, datetime

import httpx
import stripe

NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
KEY = "sk_test_sandbox"
VERSION = "2026-10-28.endive"
SECRET = "whsec_test"
CARD = {"expiry": "12 / 30", "cvc": "123", "name": "Alice Example"}
VISA = "4242 4242 4242 4242"


def client_of(box, key=KEY, **options):
    """The official client, as the shop would make it, in the same process."""
    return stripe.StripeClient(
        key,
        stripe_version=VERSION,
        max_network_retries=0,
        http_client=box.http_client(**options),
        base_addresses={"api": "http://sandbox"},
    )


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

    @property
    def types(self):
        return [body["type"] for body in self.bodies]


class Shop:
    """Short words for what the shop does at Stripe, and what its customers do in a browser."""

    def __init__(self, box):
        self.box = box
        self.client = client_of(box)
        self.v1 = self.client.v1
        self.http = httpx.Client(
            transport=box.transport(),
            base_url="http://sandbox",
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def customer(self, email="alice@example.com", **more):
        return self.v1.customers.create({"email": email, **more})

    def card(self, customer, name="pm_card_visa"):
        """A card saved with the customer, as by attaching it."""
        return self.v1.payment_methods.attach(name, {"customer": customer.id})

    def set_up(self, customer, name):
        """A card saved with the customer's confirmation at the bank, where it is wanted."""
        intent = self.v1.setup_intents.create(
            {
                "customer": customer.id,
                "payment_method": name,
                "confirm": True,
                "return_url": "https://shop.example/back",
            }
        )
        if intent.status == "requires_action":
            self.confirm_at_bank(intent)
            intent = self.v1.setup_intents.retrieve(intent.id)
        return self.v1.payment_methods.retrieve(intent.payment_method)

    def charge(self, customer, card, amount=4900, *, key=None, **more):
        """Off session, as for a renewal."""
        params = {
            "amount": amount,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": getattr(card, "id", card),
            "confirm": True,
            "off_session": True,
            "error_on_requires_action": True,
            "allowed_payment_method_types": ["card"],
            **more,
        }
        options = {"idempotency_key": key} if key else {}
        return self.v1.payment_intents.create(params, options=options)

    def checkout(self, customer=None, **more):
        params = {
            "mode": "setup",
            "currency": "usd",
            "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.example/cancel",
            **({"customer": customer.id} if customer else {}),
            **more,
        }
        return self.v1.checkout.sessions.create(params)

    def confirm_at_bank(self, intent, answer="pass"):
        """Where the customer comes back to."""
        url = intent.next_action.redirect_to_url.url
        assert self.http.get(url).status_code == 200
        return self.http.post(url, data={"answer": answer}).headers["Location"]

    def control(self, path, body=None):
        answer = self.http.post(f"/_sandbox/{path}", json=body or {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def advance(self, **seconds):
        self.box.clock.advance(**seconds)
        self.box.tick()
