"""Overrides: what one contract changes about the rates of its card.

One override sets the price of a line. An overwrite goes before any multiplier, and of several
overwrites the one added last. Of several multipliers the lowest counts or, where the contract
says EXPLICIT, the one with the lowest `priority`; they are never multiplied with each other. A
tiered override is a multiplier for the first so many of a billing period, and so on; what comes
after its last tier costs what the rate card says.
Overrides that are commit-specific say what commits and credits pay, and go before all others there
(https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/discounting-on-commits).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from metronome_sandbox.catalog import show_unit, unit
from metronome_sandbox.records import Contract, Product
from metronome_sandbox.wire import find, invalid, on_the_hour, unsupported
from metronome_sandbox.world import World

Groups = tuple[tuple[str, str], ...]
Tier = tuple[Decimal, Decimal | None]  # a multiplier, and until how much usage
Presentation = tuple[tuple[str, str | None], ...]

OF_COMMITS = ("commit_ids", "recurring_commit_ids", "any_commit_or_credit_ids")


@dataclass(frozen=True, slots=True)
class Override:
    """What the overrides in force make of a rate. None: they leave it as it is."""

    entitled: bool | None = None
    price: Decimal | None = None
    credit_type_id: str | None = None  # of `price`
    tiers: tuple[Tier, ...] = ()

    @property
    def prices(self) -> bool:
        return self.price is not None or bool(self.tiers)

    def applied(self, price: Decimal, credit_type_id: str, used: Decimal) -> tuple[Decimal, str]:
        """A price of the rate card and its unit as they are under this override, after so much
        usage in the billing period."""
        if self.price is not None:
            return self.price, self.credit_type_id or credit_type_id
        return price * self.multiplier(used), credit_type_id

    def multiplier(self, used: Decimal) -> Decimal:
        for multiplier, until in self.tiers:
            if until is None or used < until:
                return multiplier
        return Decimal(1)

    def edges(self) -> list[Decimal]:
        """Where the multiplier changes."""
        return [until for _, until in self.tiers if until is not None]


def build(
    world: World,
    items: list[dict[str, Any]],
    contract: Contract,
    now: datetime,
    made_ids: dict[str, str],
) -> list[dict[str, Any]]:
    """The overrides of an API call, checked, with ids. Raises ApiError.

    `made_ids`: ids, by temporary id, of the commits and credits that the same call makes."""
    return [
        {
            **item,
            **_check(world, item, contract, made_ids),
            "id": world.new_id(),
            "created_at": now,
        }
        for item in items
    ]


def _check(
    world: World, item: dict[str, Any], contract: Contract, made_ids: dict[str, str]
) -> dict[str, Any]:
    specifiers = item.get("override_specifiers") or []
    if item.get("type") == "TIERED" or item.get("tiers"):
        _check_tiers(world, item, contract)
    added = _check_commits(world, item, contract, made_ids)
    if (item.get("product_id") or item.get("applicable_product_tags")) and any(
        not one or set(one) - set(OF_COMMITS) for one in specifiers
    ):
        raise invalid("Give override_specifiers, or product_id and applicable_product_tags")
    _check_price(world, item, contract)
    for one in [item, *specifiers]:
        if one.get("product_id"):
            find(world.store.products, one["product_id"], "Product")
    starting_at = on_the_hour(item["starting_at"], "Override starting_at")
    ending_before = item.get("ending_before")
    if ending_before and on_the_hour(ending_before, "Override ending_before") <= starting_at:
        raise invalid("Override ending_before must be after starting_at")
    if item.get("type") is None and item.get("overwrite_rate"):
        added["type"] = "OVERWRITE"
    elif item.get("type") is None and item.get("multiplier") is not None:
        added["type"] = "MULTIPLIER"
    return added


def _check_tiers(world: World, item: dict[str, Any], contract: Contract) -> None:
    specifiers, tiers = item.get("override_specifiers") or [], item.get("tiers") or []
    if item.get("type") != "TIERED" or not tiers:
        raise invalid("An override has tiers, at least one, if its type is TIERED")
    if not _is_explicit(contract):
        raise invalid("Tiered overrides need multiplier_override_prioritization EXPLICIT")
    if item.get("priority") is None:
        raise invalid("priority is required for a tiered override")
    if item.get("overwrite_rate") or item.get("multiplier") is not None:
        raise invalid("A tiered override has its multipliers in its tiers")
    if any(one["multiplier"] < 0 or one.get("size", 1) <= 0 for one in tiers):
        raise invalid("The multiplier of a tier must be at least 0, its size greater than 0")
    if not all("size" in one for one in tiers[:-1]):
        raise invalid("Every tier but the last needs a size")
    if any(one.get("presentation_group_values") for one in specifiers):
        raise invalid("presentation_group_values can only be used for multiplier overrides")
    if any(_is_of_subscription(world, one) for one in [item, *specifiers]):
        raise unsupported("tiered overrides of subscription rates", "use a multiplier")


def _check_commits(
    world: World, item: dict[str, Any], contract: Contract, made_ids: dict[str, str]
) -> dict[str, Any]:
    """What the commits named in an override make of it: their ids, for temporary ones the real."""
    specifiers = item.get("override_specifiers") or []
    if not item.get("is_commit_specific"):
        if item.get("target") is not None:
            raise invalid("target can only be used for overrides that are commit-specific")
        if any(one.get(name) for one in specifiers for name in OF_COMMITS):
            raise invalid("Commits can only be named in overrides that are commit-specific")
        return {}
    if item.get("entitled") is not None:
        raise unsupported("entitlement by commits", "give the commit specifiers")
    if any(_is_of_subscription(world, one) for one in [item, *specifiers]):
        what = "overrides of subscription rates that are commit-specific"
        raise unsupported(what, "override them whatever pays")
    for one in specifiers:
        if one.get("any_commit_or_credit_ids") and (
            one.get("commit_ids") or one.get("recurring_commit_ids")
        ):
            raise invalid("Give any_commit_or_credit_ids, or commit_ids and recurring_commit_ids")
    named = [
        {
            name: [made_ids.get(row_id) or _known(world, contract, row_id) for row_id in value]
            if name in OF_COMMITS
            else value
            for name, value in one.items()
        }
        for one in specifiers
    ]
    return {"override_specifiers": named} if named else {}


def _is_of_subscription(world: World, item: dict[str, Any]) -> bool:
    product = world.store.products.get(item.get("product_id") or "")
    return bool(item.get("billing_frequency") or (product and product.type == "SUBSCRIPTION"))


def _known(world: World, contract: Contract, row_id: str) -> str:
    for table in (world.store.commits, world.store.recurring):
        row = table.get(row_id.lower())
        if row is not None and row.customer_id == contract.customer_id:
            return row.id
    raise invalid(f"The customer has no commit or credit {row_id}")


def _check_price(world: World, item: dict[str, Any], contract: Contract) -> None:
    kind, rate, multiplier = item.get("type"), item.get("overwrite_rate"), item.get("multiplier")
    if kind == "MULTIPLIER" and multiplier is None:
        raise invalid("multiplier is required for a MULTIPLIER override")
    if multiplier is not None and multiplier < 0:
        raise invalid("multiplier must be at least 0")
    if kind == "OVERWRITE" and not rate:
        raise invalid("overwrite_rate is required for an OVERWRITE override")
    if rate and (rate["rate_type"] != "FLAT" or rate.get("price") is None):
        raise unsupported(
            "overwrite rates that are not FLAT", "use a FLAT one, or a TIERED override"
        )
    if rate and rate["price"] < 0:
        raise invalid("overwrite_rate.price must not be negative")
    if rate and rate.get("credit_type_id") is not None:
        _check_unit(world, unit(world, rate["credit_type_id"], ""), contract)
    priority = item.get("priority")
    if priority is not None and priority <= 0:
        raise invalid("priority must be greater than 0")
    if multiplier is not None and priority is None and _is_explicit(contract):
        raise invalid("priority is required for a multiplier of a contract with EXPLICIT overrides")


def _check_unit(world: World, unit_id: str, contract: Contract) -> None:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    if card and unit_id != card.fiat_credit_type_id and unit_id not in card.conversions:
        raise invalid("The rate card has no conversion for the credit type of the overwrite rate")


def _is_explicit(contract: Contract) -> bool:
    return contract.extra.get("multiplier_override_prioritization") == "EXPLICIT"


def effective(
    contract: Contract,
    product: Product,
    groups: Groups,
    presentation: Presentation,
    at: datetime,
    frequency: str | None = None,
) -> Override:
    """What the contract's overrides say about this product and these groups, or its subscription
    of this billing frequency, at a moment, when no commit or credit pays."""
    return without_commit(
        contract, in_force(contract, product, groups, presentation, at, frequency)
    )


def without_commit(contract: Contract, overrides: list[dict[str, Any]]) -> Override:
    found = [one for one in overrides if not one.get("is_commit_specific")]
    said = [one["entitled"] for one in found if one.get("entitled") is not None]
    return chosen(contract, found, said[-1] if said else None)


def edges(overrides: list[dict[str, Any]]) -> list[Decimal]:
    """After how much usage one of them may change its price."""
    tiered = [_tiers(one) for one in overrides if one.get("tiers")]
    return [edge for tiers in tiered for _, edge in tiers if edge is not None]


def in_force(
    contract: Contract,
    product: Product,
    groups: Groups,
    presentation: Presentation,
    at: datetime,
    frequency: str | None = None,
) -> list[dict[str, Any]]:
    """In the order in which they were added."""
    return [
        one
        for one in contract.overrides
        if one["starting_at"] <= at
        and not (one.get("ending_before") and at >= one["ending_before"])
        and not (frequency and one.get("tiers"))  # they are of usage
        and _applies(one, product, dict(groups), dict(presentation), at, frequency)
    ]


def chosen(
    contract: Contract, found: list[dict[str, Any]], entitled: bool | None = None
) -> Override:
    """Of several overrides, the one that sets the price."""
    overwrites = [one["overwrite_rate"] for one in found if one.get("overwrite_rate")]
    if overwrites:
        rate = overwrites[-1]
        return Override(entitled, rate["price"], rate.get("credit_type_id"))
    multipliers = [one for one in found if _tiers(one)]
    if not multipliers:
        return Override(entitled)
    lowest = min(multipliers, key=lambda one: _rank(contract, one))
    return Override(entitled, tiers=_tiers(lowest))


def _tiers(override: dict[str, Any]) -> tuple[Tier, ...]:
    """Of a plain multiplier one that does not end."""
    if override.get("multiplier") is not None:
        return ((override["multiplier"], None),)
    sizes = [one.get("size") for one in override.get("tiers") or []]
    ends = accumulate(size or Decimal(0) for size in sizes)
    return tuple(
        (one["multiplier"], None if size is None else end)
        for one, size, end in zip(override.get("tiers") or [], sizes, ends, strict=True)
    )


def _rank(contract: Contract, override: dict[str, Any]) -> Decimal:
    rank: Decimal = override["priority"] if _is_explicit(contract) else override["multiplier"]
    return rank


def _applies(
    override: dict[str, Any],
    product: Product,
    groups: dict[str, str],
    presentation: dict[str, str | None],
    at: datetime,
    frequency: str | None,
) -> bool:
    """A specifier must fit in all it says; of the older `applicable_product_tags` one is enough."""
    wanted, any_of = override.get("product_id"), override.get("applicable_product_tags")
    if wanted or any_of:
        return wanted == product.id or bool(set(any_of or ()) & product.tags(at))
    return not override.get("override_specifiers") or any(
        fits(one, product, groups, presentation, at, frequency)
        for one in override["override_specifiers"]
    )


def fits(
    specifier: dict[str, Any],
    product: Product,
    groups: dict[str, str],
    presentation: dict[str, str | None],
    at: datetime,
    frequency: str | None = None,
) -> bool:
    return (
        (not specifier.get("product_id") or specifier["product_id"] == product.id)
        and specifier.get("billing_frequency") in (None, frequency)
        and set(specifier.get("product_tags") or ()) <= product.tags(at)
        and (specifier.get("pricing_group_values") or {}).items() <= groups.items()
        and (specifier.get("presentation_group_values") or {}).items() <= presentation.items()
    )


def show(world: World, override: dict[str, Any]) -> dict[str, Any]:
    shown = dict(override)
    if shown.get("tiers"):
        shown["override_tiers"] = shown.pop("tiers")
    rate = shown.get("overwrite_rate")
    if rate and rate.get("credit_type_id"):
        others = {key: value for key, value in rate.items() if key != "credit_type_id"}
        shown["overwrite_rate"] = {
            **others,
            "credit_type": show_unit(world, rate["credit_type_id"]),
        }
    product_id = shown.pop("product_id", None)
    if product_id:
        shown["product"] = {"id": product_id, "name": world.store.products[product_id].name}
    return shown
