"""The billing profile: whom invoices and receipts are made out to."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing.papers import profiles, tax_ids
from billing.papers.countries import COUNTRIES
from billing.payments import tax

SAVED = "Saved. What is issued from now on is made out so; what was issued stays as it is."
UNCHANGED = "Nothing was changed."


def _text(label: str, autocomplete: str, *, required: bool = True, help_text: str = "") -> Any:
    widget = forms.TextInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, required=required, widget=widget, help_text=help_text)


class ProfileForm(forms.Form):
    """What `profiles.save` takes. It checks, because what is needed depends on the country."""

    name = _text("Name or company", "organization", required=False)
    line1 = _text("Street and number", "address-line1", required=False)
    line2 = _text("More of the address (optional)", "address-line2", required=False)
    postal_code = _text("Postal code", "postal-code", required=False)
    city = _text("City", "address-level2", required=False)
    state = _text(
        "State or region",
        "address-level1",
        required=False,
        help_text="Needed in Australia, Brazil, Canada, India, Mexico and the United States.",
    )
    country = forms.ChoiceField(
        label="Country",
        required=False,
        choices=[("", "Choose a country"), *COUNTRIES.items()],
        widget=forms.Select(attrs={"autocomplete": "country"}),
        error_messages={"invalid_choice": "Choose a country of the list."},
    )
    tax_id = _text(
        "Tax id of the company (optional)",
        "off",
        required=False,
        help_text="Such as a VAT number, with or without blanks: "
        f"{tax_ids.VAT_EXAMPLES['DE']} in Germany, {tax_ids.KINDS['US'].example} (EIN) in the "
        "United States.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@unsent.kept(*profiles.FIELDS)
@customer_required
def profile_page(request: CustomerRequest) -> HttpResponse:
    found, typed = profiles.of(request.customer), unsent.take(request)
    if request.method == "POST":
        return _save(request)
    stored = {name: getattr(found, name) for name in profiles.FIELDS} if found else {}
    if found is None:
        stored["name"] = request.user.get_full_name()
    return _render(request, ProfileForm(initial=stored | typed))


def _save(request: CustomerRequest) -> HttpResponse:
    form = ProfileForm(request.POST)
    if form.is_valid():
        try:
            is_changed = profiles.save(
                customer=request.customer, fields=form.cleaned_data, now=timezone.now()
            )
        except profiles.FieldInvalid as error:
            form.add_error(error.field, str(error))
        else:
            messages.success(request, SAVED if is_changed else UNCHANGED)
            return redirect("invoices")
    return _render(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _render(request: CustomerRequest, form: ProfileForm, status: int = 200) -> HttpResponse:
    return render(
        request, "billing/profile.html", {"form": form, "is_taxed": tax.is_on()}, status=status
    )
