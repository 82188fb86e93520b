"""Cents as pages write them."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def dollars(cents: int | None) -> str:
    """“$1,234.05” of 123405; empty of None, which is a price by agreement."""
    return "" if cents is None else f"${cents // 100:,}.{cents % 100:02}"
