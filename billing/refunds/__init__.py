"""Refunds by staff: what they would pay back and take back, and their flow."""
