"""Disputes: what a customer's bank withdraws, and what that holds here."""
