"""Search: Stripe's query language, over an index that lags.

https://docs.stripe.com/search. An object is found once it is `search_lag_seconds` old."""

import re
from collections.abc import Callable
from typing import Any

from metronome_sandbox.kit.store import Table
from stripe_sandbox import lists
from stripe_sandbox.find import is_of_mode
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, refused, unix
from stripe_sandbox.world import World

PAYMENT_INTENTS = frozenset({"amount", "created", "currency", "customer", "status"})
CUSTOMERS = frozenset({"created", "email", "name", "phone"})

_STRING = r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' """
_TERM = re.compile(
    rf"""\s*(?P<minus>-)?(?P<field>[a-z_.]+)(?:\[(?P<key>{_STRING})\])?
    \s*(?P<sign>:|~|>=|<=|>|<)\s*(?P<value>{_STRING}|null|-?\d+)\s*(?P<join>AND\b|OR\b|$)?""",
    re.VERBOSE | re.IGNORECASE,
)


def page(
    world: World, request: Request, table: Table[Resource], fields: frozenset[str]
) -> dict[str, Any]:
    matches = _parse(request.given["query"], fields)
    limit = lists.limit_of(request)
    newest = unix(request.now) - world.settings.search_lag_seconds
    rows = [
        row
        for row in reversed(list(table))
        if not row.body.get("deleted")
        and is_of_mode(row, request)
        and row["created"] <= newest
        and matches(row.body)
    ]
    start = request.given.get("page", "0")
    if not start.isdecimal():
        raise refused("Invalid page token.", None, "page")
    shown = rows[int(start) : int(start) + limit]
    has_more = len(rows) > int(start) + limit
    return {
        "object": "search_result",
        "data": shown,
        "has_more": has_more,
        "next_page": str(int(start) + limit) if has_more else None,
        "url": request.path,
    }


def _parse(query: str, fields: frozenset[str]) -> Callable[[dict[str, Any]], bool]:
    """Whether an object matches. Raises ApiError 400."""
    terms: list[Callable[[dict[str, Any]], bool]] = []
    joins: set[str] = set()
    at = 0
    while at < len(query):
        term = _TERM.match(query, at)
        if term is None or term.end() == at:
            raise refused(
                f"We were unable to parse your search query at: {query[at:]}", None, "query"
            )
        at = term.end()
        terms.append(_term(term, fields))
        join = term["join"] or ("AND" if at < len(query) else "")
        if join:
            joins.add(join.upper())
    if not terms:
        raise refused("The search query is empty.", None, "query")
    if len(joins) > 1:
        raise refused("You can't combine AND and OR in one search query.", None, "query")
    together = any if joins == {"OR"} else all
    return lambda body: together(term(body) for term in terms)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in "\"'" else text


def _term(term: re.Match[str], fields: frozenset[str]) -> Callable[[dict[str, Any]], bool]:
    field, key, sign = term["field"], term["key"], term["sign"]
    is_metadata = field == "metadata" and key is not None
    if not is_metadata and (field not in fields or key is not None):
        raise refused(f"Field `{field}` is an unsupported search field.", None, "query")
    wanted = _plain(term["value"])
    is_null = term["value"].lower() == "null"

    def matches(body: dict[str, Any]) -> bool:
        value = body["metadata"].get(_plain(key)) if is_metadata else body.get(field)
        if is_null or value is None:
            return is_null and value is None
        if sign == ":":
            return str(value).lower() == wanted.lower()
        if sign == "~":
            return wanted.lower() in str(value).lower()
        number, bound = int(value), int(wanted)
        return {
            ">": number > bound,
            "<": number < bound,
            ">=": number >= bound,
            "<=": number <= bound,
        }[sign]

    if sign in (">", "<", ">=", "<=") and (
        field not in ("amount", "created") or not wanted.lstrip("-").isdecimal()
    ):
        raise refused(f"Field `{field}` cannot be compared with {sign}.", None, "query")
    return (lambda body: not matches(body)) if term["minus"] else matches
