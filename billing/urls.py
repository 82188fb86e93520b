from django.urls import URLPattern, path

from .inbox import receive
from .live import balance, stream
from .pages import overview, plans

urlpatterns: list[URLPattern] = [
    path("billing/", overview.overview, name="billing"),
    path("billing/card/", overview.choose_card, name="card"),
    path("billing/plans/", plans.plans_page, name="plans"),
    path("billing/plans/cancel/", plans.cancel_plan, name="plan_cancel"),
    path("billing/recharge/", overview.recharge_settings, name="recharge"),
    path("api/webhooks/metronome/alerts", receive.receive, name="webhook_alerts"),
    path("api/webhooks/metronome/payment-gating", receive.receive, name="webhook_payment_gating"),
    path("api/webhooks/metronome/invoices", receive.receive, name="webhook_invoices"),
    path("api/billing/balance", balance.balance, name="api_balance"),
    path("api/webhooks/events/<str:customer_id>", stream.events, name="events"),
]
