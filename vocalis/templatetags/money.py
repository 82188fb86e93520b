"""Cents, and changes of credits, as pages write them."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def dollars(cents: int | None) -> str:
    """“$1,234.05” of 123405; empty of None, which is a price by agreement."""
    return "" if cents is None else f"${cents // 100:,}.{cents % 100:02}"


@register.filter
def signed(credits: int) -> str:
    """“+40,000” and, with a minus sign, which is as wide as a plus, “−88”."""
    return f"{'+' if credits > 0 else '−' if credits < 0 else ''}{abs(credits):,}"
