from django.urls import URLPattern, path

from . import billing_views, plan_views
from .inbox import receive
from .live import balance, stream

urlpatterns: list[URLPattern] = [
    path("billing/", billing_views.overview, name="billing"),
    path("billing/card/", billing_views.choose_card, name="card"),
    path("billing/plans/", plan_views.plans_page, name="plans"),
    path("billing/plans/cancel/", plan_views.cancel_plan, name="plan_cancel"),
    path("billing/recharge/", billing_views.recharge_settings, name="recharge"),
    path("api/webhooks/metronome/alerts", receive.receive, name="webhook_alerts"),
    path("api/webhooks/metronome/payment-gating", receive.receive, name="webhook_payment_gating"),
    path("api/webhooks/metronome/invoices", receive.receive, name="webhook_invoices"),
    path("api/billing/balance", balance.balance, name="api_balance"),
    path("api/webhooks/events/<str:customer_id>", stream.events, name="events"),
]
