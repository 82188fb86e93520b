"""Showing balance changes at once on every open page: the balance, event streams and wake-ups."""
