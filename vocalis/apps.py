from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class VocalisConfig(AppConfig):
    name = "vocalis"

    def ready(self) -> None:
        from . import checks  # noqa: F401  registers them


class AdminConfig(DjangoAdminConfig):
    default_site = "vocalis.admin.Site"
