"""Incoming webhooks: verified and stored during the request, processed by a worker."""
