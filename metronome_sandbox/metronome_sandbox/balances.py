"""What customers have left: balance lists, net balance, manual ledger entries,
and commits of a customer rather than of one contract."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import commit_views, commits
from metronome_sandbox.catalog import unit
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import balance
from metronome_sandbox.records import USD_ID, Adjustment, Commit
from metronome_sandbox.wire import Request, find, invalid, missing, on_the_hour, page
from metronome_sandbox.world import World

BALANCE_PAGE = 25


def list_balances(world: World, request: Request) -> Any:
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    rows = _filtered(world.store.commits.of_customer(customer.id), body)
    if not body.get("include_contract_balances"):
        rows = [row for row in rows if row.contract_id is None]
    if body.get("id"):
        rows = [row for row in rows if row.id == body["id"]]
    if body.get("exclude_zero_balances"):
        rows = [row for row in rows if balance(world, row, request.now) != 0]
    if str(body.get("access_type") or "SPEND").upper() == "QUANTITY":
        rows = []
    return _page(world, request, rows)


def _filtered(rows: Iterable[Commit], body: dict[str, Any]) -> list[Commit]:
    covering, before, since = (
        body.get("covering_date"),
        body.get("effective_before"),
        body.get("starting_at"),
    )

    def fits(row: Commit) -> bool:
        if row.archived_at and not body.get("include_archived"):
            return False
        if covering and not any(
            one.starting_at <= covering < one.ending_before for one in row.segments
        ):
            return False
        if before and not any(one.starting_at < before for one in row.segments):
            return False
        return not since or any(one.ending_before > since for one in row.segments)

    return [row for row in rows if fits(row)]


def _page(world: World, request: Request, rows: list[Commit]) -> dict[str, Any]:
    body = request.body

    def show(row: Commit) -> dict[str, Any]:
        return commit_views.show(
            world,
            row,
            request.now,
            with_balance=bool(body.get("include_balance")),
            with_ledger=bool(body.get("include_ledgers")),
        )

    return page(
        request,
        rows,
        show=show,
        default=BALANCE_PAGE,
        most=BALANCE_PAGE,
        cap=world.settings.page_size,
    )


def get_net_balance(world: World, request: Request) -> Any:
    """The sum over a customer's commits and credits of one unit.
    The unit is US dollars unless another is named."""
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    if str(body.get("access_type") or "SPEND").upper() == "QUANTITY":
        raise invalid("The sandbox keeps no balances of access type QUANTITY")
    credit_type_id = unit(world, body.get("credit_type_id"), USD_ID)
    drafts = (
        str(body.get("invoice_inclusion_mode") or "FINALIZED_AND_DRAFT").upper()
        == "FINALIZED_AND_DRAFT"
    )
    rows = [
        row
        for row in world.store.commits.of_customer(customer.id)
        if row.archived_at is None
        and row.credit_type_id == credit_type_id
        and _wanted(row, body.get("filters"))
    ]
    total = sum((max(balance(world, row, request.now, drafts=drafts), ZERO) for row in rows), ZERO)
    return {"data": {"balance": total, "credit_type_id": credit_type_id}}


def _wanted(commit: Commit, filters: list[dict[str, Any]] | None) -> bool:
    kinds = {"PREPAID": "PREPAID_COMMIT", "POSTPAID": "POSTPAID_COMMIT", "CREDIT": "CREDIT"}
    if not filters:
        return commit.type != "POSTPAID"
    return any(
        (not one.get("balance_types") or kinds[commit.type] in one["balance_types"])
        and (not one.get("ids") or commit.id in one["ids"])
        and (one.get("custom_fields") or {}).items() <= commit.custom_fields.items()
        for one in filters
    )


def add_manual_entry(world: World, request: Request) -> Any:
    body = request.body
    commit = commits.find_commit(world, body["id"], body["customer_id"])
    if body.get("contract_id") and body["contract_id"] != commit.contract_id:
        raise missing("Commit")
    segments = [one for one in commit.segments if one.id == body["segment_id"]]
    if not segments:
        raise missing("Segment")
    world.refuse_taken("balance_entry", body.get("uniqueness_key"))
    commit.adjustments.append(
        Adjustment(
            segment_id=body["segment_id"],
            amount=Decimal(body["amount"]),
            at=body.get("timestamp") or segments[0].starting_at,
            type="MANUAL",
            reason=body["reason"],
        )
    )
    world.store.commits.put(commit)
    world.take("balance_entry", body.get("uniqueness_key"), commit.id)
    _touched(world, commit, request.now)
    return None


# Customer-level commits and credits


def create_commit(world: World, request: Request) -> Any:
    return _create(world, request, request.body["type"], "commit")


def create_credit(world: World, request: Request) -> Any:
    return _create(world, request, "CREDIT", "credit")


def _create(world: World, request: Request, type_: str, scope: str) -> Any:
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    world.refuse_taken(scope, body.get("uniqueness_key"))
    commit = commits.build(
        world, body, customer_id=customer.id, contract=None, type_=type_, now=request.now
    )
    if commit.invoice_items and not commit.do_not_invoice and not commit.invoice_contract_id:
        raise invalid("invoice_contract_id is required when a customer-level commit is invoiced")
    commits.add(world, commit, request.now)
    world.take(scope, commit.uniqueness_key, commit.id)
    return {"data": {"id": commit.id}}


def list_commits(world: World, request: Request) -> Any:
    return _list(world, request, "commit_id", "include_contract_commits", credit=False)


def list_credits(world: World, request: Request) -> Any:
    return _list(world, request, "credit_id", "include_contract_credits", credit=True)


def _list(world: World, request: Request, id_name: str, contract_flag: str, *, credit: bool) -> Any:
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    rows = [row for row in world.store.commits.of_customer(customer.id) if row.is_credit == credit]
    rows = [
        row for row in _filtered(rows, body) if row.contract_id is None or body.get(contract_flag)
    ]
    if str(body.get("access_type") or "SPEND").upper() == "QUANTITY":
        rows = []
    if body.get(id_name):
        wanted = commits.find_commit(world, body[id_name], customer.id, credit=credit)
        rows = [row for row in rows if row.id == wanted.id]
    return _page(world, request, rows)


def end_commit(world: World, request: Request) -> Any:
    return _end(world, request, credit=False)


def end_credit(world: World, request: Request) -> Any:
    return _end(world, request, credit=True)


def _end(world: World, request: Request, *, credit: bool) -> Any:
    """Ends may only come earlier."""
    body = request.body
    commit = commits.request_commit(world, request, credit=credit)
    access, invoices = body.get("access_ending_before"), body.get("invoices_ending_before")
    change: dict[str, Any] = {}
    if access is not None:
        on_the_hour(access, "access_ending_before")
        if access > max((one.ending_before for one in commit.segments), default=access):
            raise invalid("access_ending_before must be before the current end")
        kept = [one for one in commit.segments if one.starting_at < access]
        change["access_schedule"] = {
            "remove_schedule_items": [{"id": one.id} for one in commit.segments if one not in kept],
            "update_schedule_items": [
                {"id": one.id, "ending_before": access}
                for one in kept
                if one.ending_before > access
            ],
        }
    if invoices is not None:
        late = [item for item in commit.invoice_items if item.timestamp >= invoices]
        change["invoice_schedule"] = {"remove_schedule_items": [{"id": item.id} for item in late]}
    commits.apply(world, commits.prepare(world, commit, change), request.now)
    return {"data": {"id": commit.id}}


def edit_commit(world: World, request: Request) -> Any:
    return _edit(world, request, credit=False)


def edit_credit(world: World, request: Request) -> Any:
    return _edit(world, request, credit=True)


def _edit(world: World, request: Request, *, credit: bool) -> Any:
    commit = commits.request_commit(world, request, credit=credit)
    commits.apply(world, commits.prepare(world, commit, request.body), request.now)
    return {"data": {"id": commit.id}}


def archive_commit(world: World, request: Request) -> Any:
    return _archive(world, request, credit=False)


def archive_credit(world: World, request: Request) -> Any:
    return _archive(world, request, credit=True)


def _archive(world: World, request: Request, *, credit: bool) -> Any:
    commit = commits.request_commit(world, request, credit=credit)
    what = "credit" if credit else "commit"
    if commit.deductions:
        raise invalid(f"The {what} was applied to finalized invoices: void them first")
    payments = [world.store.invoices.get(item.invoice_id or "") for item in commit.invoice_items]
    if any(invoice is not None and invoice.status == "FINALIZED" for invoice in payments):
        raise invalid("The invoices of the commit's payment are finalized: void them first")
    commits.archive(world, commit, request.now)
    return {"data": {"id": commit.id}}


def _touched(world: World, commit: Commit, now: datetime) -> None:
    world.changed(commit.customer_id)
    world.schedule_evaluation(commit.customer_id, now)
