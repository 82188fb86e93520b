"""What an alert looks at: alert specifiers, values of groups, and one state for each value.

An alert whose specifier names a custom field without a value, or whose `group_values` name a key
without one, is evaluated for each value by itself. Specifiers are alternatives; the conditions in
one all hold, and any of its exclusions takes a balance out.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox.pricing import customer_contracts
from metronome_sandbox.rating import Draw, customer_commits, rate
from metronome_sandbox.records import Alert, Commit, Contract
from metronome_sandbox.wire import invalid
from metronome_sandbox.world import World

OF_BALANCES = "low_remaining_contract_credit_and_commit_balance_reached"
OF_DAYS = (
    "low_remaining_days_for_commit_segment_reached",
    "low_remaining_days_for_contract_credit_segment_reached",
)
MOST_DAYS = 36_500
OF_SPEND = "spend_threshold_reached"


# (value to report, is it in alarm, further properties), or None when the customer has nothing to
# measure.
Measure = tuple[Decimal, bool, dict[str, Any]] | None


def check(body: dict[str, Any]) -> None:
    """Raises ApiError 400."""
    if body["alert_type"] in OF_DAYS and body["threshold"] > MOST_DAYS:
        raise invalid(f"threshold must be at most {MOST_DAYS} days")
    specifiers, groups = body.get("alert_specifiers") or [], body.get("group_values") or []
    if specifiers and body["alert_type"] != OF_BALANCES:
        raise invalid(f"alert_specifiers can only be used with {OF_BALANCES}")
    if groups and body["alert_type"] != OF_SPEND:
        raise invalid(f"group_values can only be used with {OF_SPEND}")
    filters = [rule for one in specifiers for rule in one.get("custom_field_filters") or []]
    open_rules = [rule for rule in [*filters, *groups] if rule.get("value") is None]
    if open_rules and len(filters) + len(groups) > 1:
        raise invalid("An alert by each value of a key has one specifier or group with one key")
    for one in specifiers:
        for excluded in one.get("exclude") or []:
            rules = excluded.get("custom_field_filters") or []
            if not rules or any(rule.get("value") is None for rule in rules):
                raise invalid("exclude needs custom_field_filters with a key and a value")


def counted(
    world: World, alert: Alert, customer_id: str, at: datetime, kinds: tuple[str, ...]
) -> list[Commit]:
    """The customer's balances an alert looks at, once they have started."""
    return [
        row
        for row in customer_commits(world, customer_id)
        if row.type in kinds
        and (alert.any_unit or row.credit_type_id == alert.credit_type_id)
        and any(segment.starting_at <= at for segment in row.segments)
        and counts(world, alert, row)
    ]


def counts(world: World, alert: Alert, commit: Commit) -> bool:
    """Whether a balance is one that an alert looks at."""
    if not all(matches(world, commit, rule) for rule in alert.custom_field_filters):
        return False
    return not alert.alert_specifiers or any(
        all(matches(world, commit, rule) for rule in one.get("custom_field_filters") or [])
        and not any(
            all(matches(world, commit, rule) for rule in excluded["custom_field_filters"])
            for excluded in one.get("exclude") or []
        )
        for one in alert.alert_specifiers
    )


def matches(world: World, commit: Commit, rule: dict[str, Any]) -> bool:
    if rule["entity"] == "Contract":
        contract = world.store.contracts.get(commit.contract_id or "")
        return contract is not None and is_filtered(contract, rule)
    entities = {"ContractCreditOrCommit", "ContractCredit" if commit.is_credit else "Commit"}
    return rule["entity"] in entities and _fits(commit.custom_fields.get(rule["key"]), rule)


def is_filtered(contract: Contract, rule: dict[str, Any]) -> bool:
    return _fits(contract.custom_fields.get(rule["key"]), rule)


def _fits(found: str | None, rule: dict[str, Any]) -> bool:
    return found is not None if rule.get("value") is None else found == rule["value"]


def spends(alert: Alert, draw: Draw) -> bool:
    """Whether a part of usage has the values of groups that an alert looks at."""
    given = dict([*draw.charge.groups, *draw.charge.presentation])
    return all(_fits(given.get(rule["key"]), rule) for rule in alert.group_values)


def by_value(world: World, alert: Alert, customer_id: str) -> dict[str, Alert] | None:
    """The alert for each value of its open key; None if it has no such key."""
    rules = _rules(alert)
    if not any(rule.get("value") is None for rule in rules):
        return None
    key = rules[0]["key"]
    if alert.group_values:
        draws = rate(world, customer_id).draws
        found = {
            value
            for contract in customer_contracts(world, customer_id)
            for (contract_id, _), parts in draws.items()
            if contract_id == contract.id
            for draw in parts
            for name, value in [*draw.charge.groups, *draw.charge.presentation]
            if name == key and value is not None
        }
    else:
        found = {
            row.custom_fields[key]
            for row in customer_commits(world, customer_id)
            if matches(world, row, rules[0]) and key in row.custom_fields
        }
    return {value: of_value(alert, value) for value in sorted(found)}


def of_value(alert: Alert, value: str) -> Alert:
    if alert.group_values:
        return replace(alert, group_values=[{**alert.group_values[0], "value": value}])
    (one,) = alert.alert_specifiers
    rule = {**one["custom_field_filters"][0], "value": value}
    return replace(alert, alert_specifiers=[{**one, "custom_field_filters": [rule]}])


def asked_value(alert: Alert, body: dict[str, Any]) -> str | None:
    """The value that a call asks about: of an alert with a state for each."""
    if not any(rule.get("value") is None for rule in _rules(alert)):
        return None
    given = list(body.get("group_values") or [])
    for one in body.get("alert_specifiers") or []:
        given += one.get("custom_field_filters") or []
    values = [rule["value"] for rule in given if rule.get("value") is not None]
    return str(values[0]) if values else None


def _rules(alert: Alert) -> list[dict[str, Any]]:
    filters = [
        rule for one in alert.alert_specifiers for rule in one.get("custom_field_filters") or []
    ]
    return [*alert.group_values, *filters]


def shown(alert: Alert) -> dict[str, Any]:
    """What of this is told in a webhook, and read back."""
    return {
        name: value
        for name in ("group_values", "alert_specifiers")
        if (value := getattr(alert, name))
    }
