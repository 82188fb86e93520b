"""A form field for amounts that people may type as we show them: $1,000.50."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

# A comma before two digits is how many countries write cents: 12,50 is no 1,250.
GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")


class DollarsField(forms.DecimalField):
    """An amount of dollars, as cents: $1,000.50 is 100050. Shown as it may be typed."""

    widget = forms.TextInput

    def __init__(self, **options: Any) -> None:
        super().__init__(decimal_places=2, max_digits=12, **options)

    def to_python(self, value: Any) -> Any:
        typed = "".join(str(value or "").strip().removeprefix("$").split())
        if "," in typed and not GROUPED.fullmatch(typed):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(typed.replace(",", ""))

    def clean(self, value: Any) -> Any:
        dollars = super().clean(value)
        return None if dollars is None else int(dollars * 100)

    def prepare_value(self, value: Any) -> Any:
        return f"{value // 100:,}.{value % 100:02}" if isinstance(value, int) else value
