"""How a person goes through the admin:
to a page, through an action, past the question whether it is meant."""

from __future__ import annotations

from django.urls import reverse


def url(model, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def act(client, model, action: str, *rows, follow: bool = True, **answers):
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(url(model), chosen | answers, follow=follow)


def confirm(client, model, action: str, *rows, **answers):
    """Through the page that asks first, as a person goes: its hidden fields are sent along."""
    asked = act(client, model, action, *rows)
    assert asked.templates[0].name == "admin/confirm.html"
    hidden = {field.name: str(field.value()) for field in asked.context["form"].hidden_fields()}
    return act(client, model, action, *rows, confirmed="yes", **hidden | answers)


def messages(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]
