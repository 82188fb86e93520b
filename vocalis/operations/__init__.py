"""Operators' workflows that involve every app."""
