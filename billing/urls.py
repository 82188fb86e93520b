from django.urls import URLPattern, path, re_path

from .inbox import receive
from .live import balance, stream
from .pages import (
    cards,
    confirmation,
    invoices,
    keys,
    overview,
    past_due,
    pay_page,
    plans,
    profile,
    recharge,
    top_up,
)

urlpatterns: list[URLPattern] = [
    path("billing/", overview.overview, name="billing"),
    path("billing/card/new/", cards.add_card, name="card_add"),
    path("billing/card/remove/", cards.remove_card, name="card_remove"),
    path("billing/card/<uuid:setup_id>/done/", cards.card_done, name="card_done"),
    path("billing/portal/", cards.portal, name="billing_portal"),
    path(
        "billing/payments/<uuid:payment_id>/confirmed/",
        confirmation.confirmed,
        name="payment_confirmed",
    ),
    path(
        "billing/payments/<uuid:payment_id>/confirm/", confirmation.confirm, name="payment_confirm"
    ),
    path(
        "billing/payments/<uuid:payment_id>/call-off/",
        confirmation.call_off,
        name="payment_call_off",
    ),
    path("billing/payments/<uuid:payment_id>/pay/", pay_page.pay, name="payment_pay"),
    path("billing/payments/<uuid:payment_id>/paid/", pay_page.paid, name="payment_paid"),
    path("billing/payments/<uuid:payment_id>/left/", pay_page.left, name="payment_left"),
    path("billing/profile/", profile.profile_page, name="billing_profile"),
    path("billing/invoices/", invoices.invoices_page, name="invoices"),
    path("billing/invoices/csv/", invoices.invoices_csv, name="invoices_csv"),
    path("billing/invoices/<int:invoice_id>/", invoices.invoice_page, name="invoice"),
    path("billing/invoices/<int:invoice_id>/pdf/", invoices.invoice_pdf, name="invoice_pdf"),
    path("billing/payments/<uuid:payment_id>/receipt/", invoices.receipt_pdf, name="receipt_pdf"),
    path("billing/payments/<uuid:payment_id>/refund/", invoices.refund_pdf, name="refund_pdf"),
    path("billing/plans/", plans.plans_page, name="plans"),
    path("billing/plans/cancel/", plans.cancel_plan, name="plan_cancel"),
    path("billing/plans/change/", plans.preview_page, name="plan_preview"),
    path("billing/plans/pay/", past_due.pay_now, name="plan_pay"),
    path("keys/", keys.keys_page, name="keys"),
    path("keys/<uuid:key_id>/budget/", keys.change_budget, name="key_budget"),
    path("keys/<uuid:key_id>/revoke/", keys.revoke, name="key_revoke"),
    path("billing/recharge/", recharge.recharge_settings, name="recharge"),
    path("billing/recharge/off/<str:token>/", recharge.switch_off, name="recharge_off"),
    path("billing/top-up/", top_up.top_up, name="top_up"),
    # With a slash at the end too: the path is not signed, and a redirect would lose the POST.
    re_path(r"^api/webhooks/metronome/alerts/?$", receive.receive, name="webhook_alerts"),
    re_path(
        r"^api/webhooks/metronome/payment-gating/?$",
        receive.receive,
        name="webhook_payment_gating",
    ),
    re_path(r"^api/webhooks/metronome/invoices/?$", receive.receive, name="webhook_invoices"),
    re_path(r"^api/webhooks/stripe/?$", receive.receive_stripe, name="webhook_stripe"),
    path("api/billing/balance", balance.balance, name="api_balance"),
    path("api/webhooks/events/<str:customer_id>", stream.events, name="events"),
]
