"""Who customers are billed as, and the papers they have."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from billing.models import BillingProfile, Invoice, InvoiceReading, Paper
from operations.admin import JobRowAdmin, ReadOnlyAdmin

from .owners import OfCustomer


@admin.register(BillingProfile)
class BillingProfileAdmin(OfCustomer, JobRowAdmin):
    list_display = ("customer", "name", "country", "tax_id", "changed_at", "pushed_at")


@admin.register(InvoiceReading)
class InvoiceReadingAdmin(OfCustomer, JobRowAdmin):
    """When a customer's invoices were last read; Retry reads them now."""

    list_display = ("customer", "read_at", "is_whole")


@admin.register(Invoice)
class InvoiceAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("dated_at", "customer", "kind", "status", "total_dollars", "page")
    list_filter = ("status",)
    exact_fields = ("remote_id",)
    ordering = ("-dated_at",)

    @admin.display(description="page")
    def page(self, invoice: Invoice) -> str:
        return format_html('<a href="{}">lines</a>', reverse("invoice", args=[invoice.pk]))


@admin.register(Paper)
class PaperAdmin(OfCustomer, ReadOnlyAdmin):
    list_display = ("issued_at", "customer", "kind", "number", "file")
    list_filter = ("kind",)
    exact_fields = ("number",)
    ordering = ("-issued_at",)

    @admin.display(description="file")
    def file(self, paper: Paper) -> str:
        name, pk = {
            Paper.Kind.INVOICE.value: ("invoice_pdf", paper.invoice_id),
            Paper.Kind.RECEIPT.value: ("receipt_pdf", paper.payment_id),
            Paper.Kind.REFUND.value: ("refund_pdf", paper.payment_id),
        }[paper.kind]
        return format_html('<a href="{}">PDF</a>', reverse(name, args=[pk]))
