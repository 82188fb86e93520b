"""Every field the SDK can send is read, or passed over aloud, or refused."""

import ast
from pathlib import Path

import httpx

from metronome_sandbox import Sandbox, not_emulated, not_read
from metronome_sandbox.routes import EMULATED
from metronome_sandbox.shapes import paths

from .world import NOW

ROOT = Path(__file__).parents[1]
TYPED = [route for route in EMULATED if route.params]
REFUSED = {
    "/v1/contracts/create": not_emulated.OF_CONTRACTS,
    "/v1/packages/create": not_emulated.OF_PACKAGES,
    "/v2/contracts/edit": not_emulated.OF_EDITS,
    "/v1/alerts/create": ("seat_filter",),
}
# Refused with 501 wherever they stand, by the module that would read them.
REFUSED_ANYWHERE = (
    "discount_configuration.cap",
    "quantity_management_mode_update",
    "recurring_schedule",
    "seat_config",
    "seat_updates",
    "sql",
    "subscription_config",
    "update_recurring_commits.access_amount",
    "update_recurring_commits.invoice_amount",
    "update_recurring_commits.proration_rounding",
    "update_recurring_commits.rate_type",
    "update_recurring_credits.access_amount",
    "update_recurring_credits.proration_rounding",
    "update_recurring_credits.rate_type",
)
# Kept and shown, and without meaning for what the sandbox does.
ONLY_SHOWN = (
    "is_refundable",
    "net_payment_terms_days",
    "netsuite_internal_item_id",
    "netsuite_overage_item_id",
    "netsuite_sales_order_id",
    "quantity_conversion.name",
    "salesforce_opportunity_id",
    "total_contract_value",
    "update_net_payment_terms_days",
)


def words() -> set[str]:
    """Every string in the sandbox's code, its tables of what it does not read left out."""
    found: set[str] = set()
    for path in ROOT.glob("*.py"):
        if path.name in ("not_read.py", "not_emulated.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    # Names that are put together from parts
    return found | {
        f"{verb}_{noun}"
        for verb in ("add", "update", "archive", "add_recurring", "update_recurring")
        for noun in ("commits", "credits")
    }


def within(path: str, names) -> bool:
    """Whether a field is one of these, wherever it stands, or inside one."""
    dotted = f".{path}."
    return any(f".{name}." in dotted for name in names)


def test_every_field_the_sdk_can_send_is_read_or_passed_over_aloud_or_refused():
    known = words()
    silent = [
        f"{route.path} {path}"
        for route in TYPED
        for path in paths(route.params)
        if not any(
            f"{path}.".startswith(f"{rule}.") or rule.startswith(f"{path}.")
            for rule in not_read.rules(route.path, route.params)
        )
        and not any(path.split(".")[0] == name for name in REFUSED.get(route.path, ()))
        and not within(path, REFUSED_ANYWHERE)
        and not within(path, ONLY_SHOWN)
        and path.rpartition(".")[2] not in known
    ]
    assert silent == []


def test_the_table_of_fields_passed_over_names_fields_there_are():
    for call, fields in not_read.IN_CALL.items():
        there = {path for route in TYPED if route.path == call for path in paths(route.params)}
        assert set(fields) <= there, call
    everywhere = {path for route in TYPED for path in paths(route.params)}
    for name in not_read.ANYWHERE:
        assert any(path == name or path.endswith(f".{name}") for path in everywhere), name
    for name in (*REFUSED_ANYWHERE, *ONLY_SHOWN):
        assert any(within(path, [name]) for path in everywhere), name


def put(body, path, value):
    """A body with a value at a path, through lists and objects that may be missing."""
    first, _, rest = path.partition(".")
    if not rest:
        return {**body, first: value}
    inner = body.get(first)
    one = inner[0] if isinstance(inner, list) and inner else inner
    made = put(one if isinstance(one, dict) else {}, rest, value)
    return {**body, first: [made] if isinstance(inner, list) else made}


def test_a_field_passed_over_is_noticed_unless_it_says_nothing():
    for route in TYPED:
        for path, harmless in not_read.rules(route.path, route.params).items():
            noticed = not_read.found(put({}, path, "something"), route.path, route.params)
            assert path in noticed, (route.path, path)
            for value in (None, [], {}, *harmless):
                noticed = not_read.found(put({}, path, value), route.path, route.params)
                assert path not in noticed, (route.path, path, value)


def http_of(**options):
    box = Sandbox(now=NOW, **options)
    return box, httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    )


def test_the_call_itself_says_so():
    body = {"name": "a", "billing_config": {"billing_provider_type": "stripe"}}
    body["billing_config"]["billing_provider_customer_id"] = "cus_1"
    _, strict = http_of(strict=True)
    answer = strict.post("/v1/customers", json=body)
    assert (answer.status_code, answer.json()["message"]) == (
        501,
        "The sandbox does not implement billing_config of POST /v1/customers; "
        "without --strict it passes over them.",
    )
    assert strict.get("/v1/customers").json()["data"] == []

    _, loose = http_of()
    assert loose.post("/v1/customers", json=body).status_code == 200
    assert loose.get("/_sandbox/state").json()["unread_fields"] == {
        "/v1/customers billing_config": 1
    }


def test_unknown_words_in_the_query_are_unknown_fields():
    _, strict = http_of(strict=True)
    assert strict.get("/v1/customers?limit=1&ingest_alias=a").status_code == 200
    answer = strict.get("/v1/customers?ingest_aliases=a")
    assert (answer.status_code, answer.json()["message"]) == (400, "Unknown fields: ingest_aliases")
    box, loose = http_of()
    assert loose.get("/v1/customers?ingest_aliases=a").status_code == 200
    assert box.world.unknown_fields == {"/v1/customers ingest_aliases": 1}
