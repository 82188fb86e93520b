"""Payments: requests for them, their processing, the customers' cards, and payment gateways."""
