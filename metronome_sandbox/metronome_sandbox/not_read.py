"""Fields that Metronome knows and the sandbox passes over, so that nobody takes an answer for more
than it is: they are counted, and answered with 501 under `--strict`.

What would change an amount in a way nobody expects is refused in any case, where it is read.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from metronome_sandbox.shapes import Shape, paths

# A field is named by the end of its path. The values beside it change nothing, so they may be sent.
ANYWHERE: dict[str, tuple[Any, ...]] = {
    "future_invoice_behavior.trueup": ("REMOVE",),
    "hierarchy_configuration": (),
    "invoice_generation_starting_at": (),
    "overwrite_rate.custom_rate": (),
    "overwrite_rate.is_prorated": (False,),
    "overwrite_rate.quantity": (),
    "overwrite_rate.tiers": (),
    "payment_gate_config.precalculated_tax_config": (),
    "payment_gate_config.stripe_config": (),
    "payment_gate_config.tax_type": ("NONE",),
    "revenue_system_configuration": (),
    "spend_tracker_attributes": (),
}
_PRODUCT = (
    "composite_product_ids",
    "composite_tags",
    "exclude_free_usage",
    "include_composite_spend",
    "sql_breakdown_granularity",
)
_RATE = ("custom_rate", "is_prorated", "quantity")
_OLD_COMMIT = ("amount", "netsuite_sales_order_id")
_CUSTOMER_COMMIT = ("netsuite_sales_order_id", "salesforce_opportunity_id")

# By path of the call, for names that are read in other calls or in other places.
IN_CALL: dict[str, dict[str, tuple[Any, ...]]] = {
    "/v1/customers": {"billing_config": (), "customer_revenue_system_configurations": ()},
    "/v1/customers/{customer_id}/updateConfig": {"leave_stripe_invoices_in_draft": (False,)},
    "/v1/customers/{customer_id}/billable-metrics": {"on_current_plan": ("false",)},
    "/v1/customers/{customer_id}/invoices": {
        "include_historical_commit_invoices": ("false",),
        "webhook_notification_id": (),
    },
    "/v1/contract-pricing/products/create": dict.fromkeys(_PRODUCT, (False,)),
    "/v1/contract-pricing/products/update": dict.fromkeys(_PRODUCT, (False,)),
    "/v1/contract-pricing/rate-cards/addRate": dict.fromkeys(_RATE, (False,)),
    "/v1/contract-pricing/rate-cards/addRates": {f"rates.{name}": (False,) for name in _RATE},
    "/v1/contracts/create": {
        **{f"commits.{name}": () for name in _OLD_COMMIT},
        "credits.netsuite_sales_order_id": (),
        "recurring_commits.netsuite_sales_order_id": (),
        "recurring_credits.netsuite_sales_order_id": (),
        "scheduled_charges_on_usage_invoices": (),
    },
    "/v2/contracts/get": {"as_of_date": ()},  # balances are of that time, terms are of now
    "/v2/contracts/edit": {
        **{f"add_commits.{name}": () for name in _OLD_COMMIT},
        "add_credits.netsuite_sales_order_id": (),
        "add_recurring_commits.netsuite_sales_order_id": (),
        "add_recurring_credits.netsuite_sales_order_id": (),
        "update_commits.netsuite_sales_order_id": (),
        "update_credits.netsuite_sales_order_id": (),
        "add_billing_provider_configuration_update": (),
        "add_revenue_system_configuration_update": (),
    },
    "/v2/contracts/commits/edit": {"invoice_contract_id": ()},
    "/v1/contracts/addManualBalanceLedgerEntry": {"per_group_amounts": ()},
    "/v1/contracts/customerCommits/create": dict.fromkeys(_CUSTOMER_COMMIT, ()),
    "/v1/contracts/customerCredits/create": dict.fromkeys(_CUSTOMER_COMMIT, ()),
    "/v1/alerts/create": {
        "access_type": ("SPEND",),
        "credit_grant_type_filters": (),
        "invoice_types_filter": (),
        "plan_id": (),
    },
    "/v1/customer-alerts/get": {
        "plans_or_contracts": ("CONTRACTS",),
        "seat_filter": (),
    },
    "/v1/customFields/listKeys": {"next_page": ()},
    "/v1/dashboards/getEmbeddableUrl": {
        "bm_group_key_overrides": (),
        "color_overrides": (),
        "dashboard_options": (),
    },
}

Rules = dict[str, tuple[Any, ...]]


@cache
def rules(path: str, params: Shape) -> Rules:
    """The fields of one call that are passed over, with the values that change nothing."""
    named = {**ANYWHERE, **IN_CALL.get(path, {})}
    return {
        field: harmless
        for field in paths(params)
        for name, harmless in named.items()
        if field == name or (name in ANYWHERE and field.endswith(f".{name}"))
    }


def found(body: dict[str, Any], path: str, params: Shape) -> list[str]:
    """Fields in a checked body that say something the sandbox does not do, in order of name."""
    known = rules(path, params)
    return sorted(
        {
            field
            for field, value in _fields(body, "")
            if field in known
            # Nothing, by whatever name, asks for nothing.
            and not (value is None or value in ({}, []) or value in known[field])
        }
    )


def _fields(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{prefix}.{name}" if prefix else str(name)
            yield path, inner
            yield from _fields(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner, prefix)
