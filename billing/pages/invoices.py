"""Payments and invoices as a list, as CSV, and each as a paper."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_of, customer_required
from accounts.models import User
from billing.models import Invoice, Paper, Payment
from billing.papers import content, figures, issue, listing, profiles, table
from billing.sync import invoices as mirror


@require_safe
@customer_required
def invoices_page(request: CustomerRequest) -> HttpResponse:
    """The list, newest first: of a year if asked, older pages by `after`."""
    customer, years = request.customer, listing.years(request.customer)
    year, after = _year(request, years), request.GET.get("after", "")
    rows, older = listing.page(customer, year=year, after=after)
    context = {
        "rows": rows,
        "older": older,
        "is_first_page": not after,
        "years": years,
        "year": year,
        "read_at": mirror.look(customer, timezone.now()),
        "is_at_metronome": bool(customer.metronome_id),
        "profile": profiles.of(customer),
    }
    return render(request, "billing/invoices.html", context)


@require_safe
@customer_required
def invoices_csv(request: CustomerRequest) -> HttpResponseBase:
    """All of it, or of a year, as a file."""
    year = _year(request, listing.years(request.customer))
    response = Table(table.rows(request.customer, year=year))
    name = f"vocalis-invoices-{year}.csv" if year else "vocalis-invoices.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


class Table(StreamingHttpResponse):
    """A file in pieces. Under ASGI each is made, in the request's thread, when it can be sent."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        super().__init__(pieces, content_type="text/csv; charset=utf-8")

    def _next(self) -> bytes:
        return next(self._pieces, b"")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await sync_to_async(self._next)():
            yield piece


@require_safe
def invoice_page(request: HttpRequest, invoice_id: int) -> HttpResponseBase:
    """One invoice with its lines; a draft as it was last read."""
    found = _owned(request, Invoice.objects.select_related("payment", "customer"), invoice_id)
    if isinstance(found, HttpResponseBase):
        return found
    is_final = found.status == Invoice.Status.FINALIZED
    paper = issue.invoice(found, now=timezone.now()) if is_final else None
    printed = paper.content if paper else content.of_invoice(found, {}, "")
    lines = [
        line | {"price": figures.price(line), "amount": figures.amount(line)}
        for line in printed["lines"]
    ]
    context = {"invoice": found, "paper": paper, "printed": printed, "lines": lines}
    return render(request, "billing/invoice.html", context)


@require_safe
def invoice_pdf(request: HttpRequest, invoice_id: int) -> HttpResponseBase:
    found = _owned(request, Invoice.objects.select_related("payment", "customer"), invoice_id)
    return _paper(found, issue.invoice)


@require_safe
def receipt_pdf(request: HttpRequest, payment_id: UUID) -> HttpResponseBase:
    """The receipt of a charge."""
    return _paper(_owned(request, _payments(), payment_id), issue.receipt)


@require_safe
def refund_pdf(request: HttpRequest, payment_id: UUID) -> HttpResponseBase:
    """The receipt of what was paid back of a charge."""
    return _paper(_owned(request, _payments(), payment_id), issue.refund)


def _payments() -> Any:
    return Payment.objects.select_related("customer__user", "subscription", "grant")


def _owned(request: HttpRequest, rows: Any, pk: Any) -> Any:
    """The row, if it is the customer's own, or its reader is staff who may look at papers.

    Or the redirect to the login. Raises Http404.
    """
    user = request.user
    if not isinstance(user, User):
        return redirect_to_login(request.get_full_path())
    if user.is_staff and user.has_perm("billing.view_paper"):
        return get_object_or_404(rows, pk=pk)
    customer = customer_of(user)
    if customer is None:
        raise Http404
    return get_object_or_404(rows, pk=pk, customer=customer)


def _paper(found: Any, make: Any) -> HttpResponseBase:
    if isinstance(found, HttpResponseBase):
        return found
    try:
        paper: Paper = make(found, now=timezone.now())
    except issue.NothingToPrint as error:
        raise Http404 from error
    from billing.papers import pdf  # 30 MB and half a second, which few processes need

    response = HttpResponse(pdf.render(paper), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{paper.number}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response


def _year(request: HttpRequest, years: list[int]) -> int | None:
    asked = request.GET.get("year", "")
    return next((year for year in years if str(year) == asked), None)
