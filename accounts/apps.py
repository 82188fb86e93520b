from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from mails import render

        from . import confirmation, password_reset

        render.add("account.confirm_address", confirmation.context)
        render.add("account.password_reset", password_reset.context)
