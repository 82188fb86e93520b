"""A form field for numbers that people may type as we show them: 20,000."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator


class NumberField(forms.IntegerField):
    """A whole number, shown with separators and taken with any: 20,000 and 20 000."""

    def __init__(
        self, *, least: int | None = None, most: int | None = None, **options: Any
    ) -> None:
        attrs = {"inputmode": "numeric", "autocomplete": "off"}
        super().__init__(**{"widget": forms.TextInput(attrs)} | options)
        if least is not None:
            self.validators.append(MinValueValidator(least, f"At least {least:,}."))
        if most is not None:
            self.validators.append(MaxValueValidator(most, f"At most {most:,}."))

    def to_python(self, value: Any) -> int | None:
        typed = "" if value is None else str(value)
        return super().to_python("".join(typed.replace(",", "").split()))

    def prepare_value(self, value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int) else value
