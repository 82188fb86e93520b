"""Webhooks in: verified and stored while the sender waits, processed by a worker."""
