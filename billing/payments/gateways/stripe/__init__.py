"""Stripe: cards saved by Checkout, charges by PaymentIntents. Only this folder imports its SDK.

Card data is typed in at Stripe's own pages only; we keep the ids of customers and cards.
"""
