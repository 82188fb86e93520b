"""Customers' billing pages: overview, plans, confirmation of payments, and notices of delays."""
